// What the tensor cores do for a warp: ldmatrix and mma, by the layouts of fragments in NVIDIA's PTX ISA (chapters
// "Warp Level Matrix Load Instruction" and "Matrix Fragments for mma.m16n8k16"). Products are exact, sums are floats
// added up along k; a GPU's tensor cores add in an order and with a rounding of their own.

#include <cmath>

#include "include/cuda_fp16.h"
#include "include/ptx.h"
#include "runtime.h"

namespace cuda_sim {

namespace {

float of_bfloat16(uint16_t bits) { return bit_copy<float>(static_cast<uint32_t>(bits) << 16); }

// The lower or upper half of a register.
uint16_t part(unsigned pair, int which) { return static_cast<uint16_t>(pair >> 16 * which); }

// Matrix i of the four has the rows that lanes 8 i to 8 i + 7 gave, of eight elements of two bytes. Lane l gets in
// register i two neighbours of row l / 4, or of that column where the matrices are transposed.
void exchange_matrices(void** brought) {
  const auto lane = [&](int i) { return *static_cast<MatrixLane*>(brought[i]); };
  for (int l = 0; l < kWarp; ++l)
    for (int i = 0; i < 4; ++i) {
      unsigned pair = 0;
      for (int e = 0; e < 2; ++e) {
        const int along = l % 4 * 2 + e, across = l / 4;
        const int row = lane(l).transposed ? along : across, column = lane(l).transposed ? across : along;
        pair |= static_cast<unsigned>(static_cast<const uint16_t*>(lane(8 * i + row).row)[column]) << 16 * e;
      }
      lane(l).out[i] = pair;
    }
}

// d (16, 8) += a (16, 16) b (16, 8)
template <class Value>
void multiply(void** brought, const Value& value) {
  float a[16][16], b[16][8];
  const auto lane = [&](int i) { return *static_cast<ProductLane*>(brought[i]); };
  for (int l = 0; l < kWarp; ++l)
    for (int e = 0; e < 2; ++e) {
      const int group = l / 4, pair = l % 4 * 2 + e;
      for (int i = 0; i < 4; ++i) a[group + i % 2 * 8][pair + i / 2 * 8] = value(part(lane(l).a[i], e));
      for (int i = 0; i < 2; ++i) b[pair + i * 8][group] = value(part(lane(l).b[i], e));
    }
  for (int l = 0; l < kWarp; ++l)
    for (int i = 0; i < 4; ++i) {
      const int row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
      float sum = lane(l).sums[i];
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      lane(l).sums[i] = sum;
    }
}

}  // namespace

void together(const char* name, void* lane, void (*body)(void** lanes), Place place) {
  collective({Op::together, ~0u, reinterpret_cast<uint64_t>(lane), 0, kWarp, 0, name, body}, place);
}

void load_matrices(MatrixLane& lane, Place place) {
  check_access(const_cast<void*>(lane.row), 16, false, __builtin_return_address(0));
  if (reinterpret_cast<uintptr_t>(lane.row) % 16) {
    blame(place);
    fail("misaligned", "ldmatrix at %s:%d: address %p, which needs an alignment of 16 bytes, in %s", place.file,
         place.line, lane.row, name_of(*current).c_str());
  }
  together("ldmatrix", &lane, exchange_matrices, place);
}

void meet(const char* what, Place place) {
  together(what, nullptr, [](void**) {}, place);
}

void multiply_fragments(FragmentLane& lane, Place place) {
  together(
      "mma_sync", &lane,
      [](void** brought) {
        const auto at = [&](int row, int column) { return static_cast<FragmentLane*>(brought[row * 2 + column / 8]); };
        for (int i = 0; i < 16; ++i)
          for (int k = 0; k < 16; ++k)
            for (int j = 0; j < 16; ++j) at(i, j)->sums[j % 8] += at(i, k)->a[k % 8] * at(k, j)->b[j % 8];
      },
      place);
}

void multiply_bfloat16(ProductLane& lane, Place place) {
  together("mma", &lane, [](void** lanes) { multiply(lanes, of_bfloat16); }, place);
}

void multiply_float16(ProductLane& lane, Place place) {
  together("mma", &lane, [](void** lanes) { multiply(lanes, half_value); }, place);
}

}  // namespace cuda_sim
