// wgmma: products of a warpgroup, each warp its 16 of 64 rows, with both operands in shared memory. They are under way
// from their issue to the wait for their group, and read until then: what is checked when they begin and again when
// they are waited for. Layouts by NVIDIA's PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions", swizzle of 128
// bytes.

#include <cmath>

#include "include/cuda_fp16.h"
#include "include/ptx.h"
#include "runtime.h"

namespace cuda_sim {

namespace {

constexpr int kColumns = 256, kDepth = 16, kRows = 16;

struct Issued {
  float* sums[kWarp];
  WgmmaLane what;
};

struct WarpState {
  std::vector<Issued> open;
  std::vector<std::vector<Issued>> groups;
  unsigned fenced = 0;  // lanes
};

std::vector<WarpState> states;

WarpState& state() { return states[current->warp]; }

// Eight elements of an operand: `down` along its width (m or n), else along k. Groups of eight rows are `stride` bytes
// apart, those of 64 elements along a row `lead`.
const char* chunk(const MatrixDescriptor& d, bool down, int width, int depth) {
  const int row = down ? depth : width, column = down ? width : depth;
  return swizzled(const_cast<char*>(d.base) + row / 8 * d.stride + row % 8 * 128 + column / 64 * d.lead +
                  column % 64 / 8 * 16);
}

float element(const WgmmaLane& w, const MatrixDescriptor& d, bool down, int width, int depth) {
  uint16_t bits;
  memcpy(&bits, chunk(d, down, width, depth) + (down ? width : depth) % 8 * 2, sizeof bits);
  return w.half ? half_value(bits) : bit_copy<float>(static_cast<uint32_t>(bits) << 16);
}

// This lane's share of what its warp reads.
void check_operand(const MatrixDescriptor& d, bool down, int begin, int width, const void* code) {
  const int chunks = width * kDepth / 8, along = (down ? width : kDepth) / 8;
  for (int i = current->lane; i < chunks; i += kWarp) {
    const int across = i / along, column = i % along * 8;
    check_access(const_cast<char*>(chunk(d, down, begin + (down ? column : across), down ? across : column)), 16, false,
                 code);
  }
}

int first_row(int warp) { return warp % 4 * kRows; }

void check_reads(const WgmmaLane& w, const void* code) {
  check_operand(w.a, w.a_down, first_row(current->warp), kRows, code);
  check_operand(w.b, w.b_down, 0, kColumns, code);
}

void issue(void** brought) {
  Issued issued{};
  for (int l = 0; l < kWarp; ++l) issued.sums[l] = static_cast<WgmmaLane*>(brought[l])->sums;
  issued.what = *static_cast<WgmmaLane*>(brought[0]);
  state().open.push_back(issued);
}

void multiply(const Issued& issued, int warp) {
  static float a[kRows][kDepth], b[kDepth][kColumns], sums[kRows][kColumns];
  const WgmmaLane& w = issued.what;
  for (int k = 0; k < kDepth; ++k) {
    for (int i = 0; i < kRows; ++i) a[i][k] = element(w, w.a, w.a_down, first_row(warp) + i, k);
    for (int j = 0; j < kColumns; ++j) b[k][j] = element(w, w.b, w.b_down, j, k);
  }
  const auto each = [&](const auto& f) {
    for (int l = 0; l < kWarp; ++l)
      for (int i = 0; i < kColumns / 2; ++i)
        f(issued.sums[l][i], sums[l / 4 + i / 2 % 2 * 8][i / 4 * 8 + l % 4 * 2 + i % 2]);
  };
  each([](float& lane, float& sum) { sum = lane; });
  for (int i = 0; i < kRows; ++i)
    for (int k = 0; k < kDepth; ++k)
      for (int j = 0; j < kColumns; ++j) sums[i][j] += a[i][k] * b[k][j];
  each([](float& lane, float& sum) { lane = sum; });
}

void finish(void** brought) {
  WarpState& warp = state();
  const auto left = static_cast<size_t>(*static_cast<int*>(brought[0]));
  while (warp.groups.size() > left) {
    for (const Issued& issued : warp.groups.front()) multiply(issued, current->warp);
    warp.groups.erase(warp.groups.begin());
  }
  warp.fenced = 0;
  check_warp_sync(current->warp, ~0u);
}

void commit(void**) {
  state().groups.push_back(state().open);
  state().open.clear();
}

}  // namespace

void clear_wgmma() { states.assign(run.warps.size(), WarpState{}); }

void wgmma_fence_all() { state().fenced |= 1u << current->lane; }

void wgmma_issue(WgmmaLane& lane, Place place) {
  if (!(state().fenced >> current->lane & 1)) {
    blame(place);
    fail("missing fence", "wgmma at %s:%d without a wgmma_fence since the last wait, in %s", place.file, place.line,
         name_of(*current).c_str());
  }
  check_reads(lane, __builtin_return_address(0));
  together("wgmma", &lane, issue, place);
}

void wgmma_commit_group(Place place) { together("wgmma_commit", nullptr, commit, place); }

void wgmma_wait_groups(int left, Place place) {
  const std::vector<std::vector<Issued>>& groups = state().groups;
  for (size_t g = 0; g + static_cast<size_t>(left) < groups.size(); ++g)
    for (const Issued& issued : groups[g]) check_reads(issued.what, __builtin_return_address(0));
  together("wgmma_wait", &left, finish, place);
}

}  // namespace cuda_sim
