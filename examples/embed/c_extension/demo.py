"""The edges of a bright square on a dark ground, from an array.array."""
from array import array

from edges import edges

SIZE = 9
square = array("f", (3 <= i // SIZE <= 5 and 3 <= i % SIZE <= 5 for i in range(SIZE * SIZE)))
steep = array("f", edges(square, SIZE, SIZE))
for row in range(SIZE):
    print("".join(" .:*#"[min(round(steep[row * SIZE + column]), 4)] for column in range(SIZE)))
assert steep[0] == 0 and steep[4 * SIZE + 4] == 0 and steep[3 * SIZE + 4] == steep[4 * SIZE + 3] == 4
