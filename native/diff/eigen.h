#pragma once
// Dense symmetric problems of a hundred or so, in double precision.
#include <cstddef>
#include <vector>

namespace warp::diff {

// Eigenvalues of a symmetric matrix (size × size, its upper triangle), largest first. By Householder's reduction to
// three diagonals and QL steps with Wilkinson's shifts; errors of a few 2^-52 of the largest.
std::vector<double> eigenvalues(std::vector<double> matrix, size_t size);

}  // namespace warp::diff
