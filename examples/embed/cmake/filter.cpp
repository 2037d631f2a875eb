// SPDX-License-Identifier: BSD-3-Clause
//
// Finds an unknown filter. A device turns images into others by a 5x5 convolution nobody has written down; from one image
// and what became of it, gradient descent on the squared error finds the 25 numbers.
#include <chanconv.h>

#include <cmath>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <vector>

using array = std::vector<double>;

class Plane {
public:
    Plane(int64_t size, int64_t taps) { chanconv_plane_init(&conv_, CHANCONV_F64, 1, size, size, taps, taps); }

    array forward(const array &x, const array &kernel) const
    {
        array y(static_cast<size_t>(sizes().y_count));
        check(chanconv_conv_forward(nullptr, &conv_, x.data(), kernel.data(), nullptr, y.data(), &error_));
        return y;
    }

    array grad_kernel(const array &grad_y, const array &x) const
    {
        array grad(static_cast<size_t>(sizes().kernel_count));
        check(chanconv_conv_grad_kernel(nullptr, &conv_, grad_y.data(), x.data(), grad.data(), &error_));
        return grad;
    }

private:
    chanconv_sizes sizes() const
    {
        chanconv_sizes sizes{};
        sizes.struct_size = sizeof sizes;
        check(chanconv_conv_check(&conv_, &sizes, &error_));
        return sizes;
    }

    void check(chanconv_status status) const
    {
        if (status != CHANCONV_OK) {
            throw std::runtime_error(error_.text);
        }
    }

    chanconv_conv conv_;
    mutable chanconv_error error_{};
};

int main()
{
    const int64_t size = 64, taps = 5;
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    array x(size * size), unknown(taps * taps), found(taps * taps);
    for (double &value : x) value = normal(random);
    for (double &value : unknown) value = normal(random);

    const Plane plane(size, taps);
    const array seen = plane.forward(x, unknown);
    double error = 1;
    for (int step = 0; step < 40 && error > 1e-8; step++) {
        array residue = plane.forward(x, found);
        for (size_t i = 0; i < residue.size(); i++) residue[i] -= seen[i];
        const array grad = plane.grad_kernel(residue, x);
        for (size_t i = 0; i < found.size(); i++) found[i] -= 0.8 / static_cast<double>(residue.size()) * grad[i];
        error = 0;
        for (size_t i = 0; i < found.size(); i++) error = std::fmax(error, std::fabs(found[i] - unknown[i]));
        if (step % 4 == 0) std::printf("step %2d: largest error %.1e\n", step, error);
    }
    std::printf("chanconv %s found the filter to within %.0e\n", chanconv_version(), error);
    return error > 1e-8;
}
