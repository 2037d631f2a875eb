"""Sharpens an image of two grey halves: the step between them gets steeper, the rest stays."""
from sharpen import Image

image = Image(4, 8, 1)
pixels = memoryview(image)
for row in range(4):
    for column in range(8):
        pixels[row, column, 0] = 1 if column < 4 else 3

sharp = memoryview(image.sharpened(1))
print("before", [pixels[1, column, 0] for column in range(8)])
print("after ", [sharp[1, column, 0] for column in range(8)])
assert [sharp[1, column, 0] for column in range(8)] == [1, 1, 1, 0.5, 3.5, 3, 3, 3]
