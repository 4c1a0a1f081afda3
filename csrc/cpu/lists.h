// Many arrays as one long vector: chunks for the threads go over the end of one array into the next.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/array.h"
#include "cpu/parallel.h"

namespace minigrad {

// f(chunk, k, first, last) for the pieces of every chunk: the elements first..last of array k.
template <class A, class F>
void for_pieces(const List<A>& arrays, const F& f) {
  std::vector<Size> start{0};
  for (const auto& array : arrays.items) start.push_back(start.back() + array.size);
  parallel_for(arrays.size, kStreamGrain, [&](Size begin, Size end) {
    const Size chunk = begin / kStreamGrain;
    Size k = std::upper_bound(start.begin(), start.end(), begin) - start.begin() - 1;
    for (; begin < end; begin = start[++k]) f(chunk, k, begin - start[k], std::min(end, start[k + 1]) - start[k]);
  });
}

}  // namespace minigrad
