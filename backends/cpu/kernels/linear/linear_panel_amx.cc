// SPDX-License-Identifier: MIT
// Matmul of many rows, AMX bf16.
//
// A panel of weights, 32 outputs by 512 columns or so, is dequantised to bf16 and stays in L1 while the rows of
// activations pass by it from L2, 32 at a time: two by two tiles of 16 rows and 16 outputs, summed in f32 over
// ascending columns. The next panel is dequantised between the tile products of this one: the vector units have nothing
// else to do. Where columns take several panels, sums wait for the next one side by side in scratch memory: the rows of
// y are too far apart for the caches to hold them. A sum depends on its own row and its own output alone, and on where
// its columns are cut, which their number decides: any split of rows and groups gives the same bits. A single row has a
// shorter way (panel_row_amx.h).
#include <lazuli/backends/cpu/kernels/intrinsics/tile_configuration_amx.h>
#include <lazuli/backends/cpu/kernels/linear/linear_declarations.h>
#include <lazuli/backends/cpu/kernels/linear/panel_row_amx.h>
#include <lazuli/backends/cpu/kernels/linear/panel_weights_amx.h>

namespace lazuli {
namespace {

constexpr int tile_rows = 16;
constexpr int pass_rows = 2 * tile_rows;
constexpr int panel_outputs = 2 * packed_group_rows;
constexpr int panel_steps = 20;  // 40 KB at most: worth what L1 misses where sums then never leave the tile registers
constexpr int block_steps = 16;  // of panels where they leave them anyway: 32 KB leave L1 room for what passes by
constexpr int panel_bytes = panel_steps * 2 * tile_bytes;
constexpr int pass_sums = pass_rows * panel_outputs;
// What L2 holds at once: a block of rows times the columns of a panel, and its sums for a batch of panels.
constexpr std::int64_t block_rows = 512;
constexpr int batch_panels = 8;
constexpr int batch_groups = 2 * batch_panels;

// One panel times one block of rows. They follow each other column block after column block for a batch of panels,
// batch after batch, row block after row block.
struct Turn {
  std::int64_t row_begin, row_end;
  std::int64_t batch_begin, batch_end;  // groups
  std::int64_t group;
  int groups;  // of the panel, 1 or 2
  std::int64_t block, step;
  int steps;

  int passes() const { return static_cast<int>((row_end - row_begin + pass_rows - 1) / pass_rows); }
  std::int64_t panel() const { return (group - batch_begin) / 2; }  // within its batch
};

class Turns {
 public:
  Turns(std::int64_t rows, std::int64_t steps, std::int64_t group_begin, std::int64_t group_end)
      : rows_(rows),
        steps_(steps),
        blocks_(steps <= panel_steps ? 1 : (steps + block_steps - 1) / block_steps),
        group_begin_(group_begin),
        group_end_(group_end) {}

  Turn first() const {
    Turn turn;
    begin_rows(turn, 0);
    begin_batch(turn, group_begin_);
    begin_panel(turn);
    return turn;
  }
  // False after the last one.
  bool next(Turn& turn) const {
    turn.group += turn.groups;
    if (turn.group == turn.batch_end) {
      turn.group = turn.batch_begin;
      if (++turn.block == blocks_) {
        if (turn.batch_end < group_end_) {
          begin_batch(turn, turn.batch_end);
        } else {
          if (turn.row_end == rows_) return false;
          begin_rows(turn, turn.row_end);
          begin_batch(turn, group_begin_);
        }
      }
    }
    begin_panel(turn);
    return true;
  }
  bool is_last_block(const Turn& turn) const { return turn.block + 1 == blocks_; }
  bool is_only_block() const { return blocks_ == 1; }

 private:
  void begin_rows(Turn& turn, std::int64_t row) const {
    turn.row_begin = row;
    turn.row_end = rows_ - row < block_rows ? rows_ : row + block_rows;
  }
  void begin_batch(Turn& turn, std::int64_t group) const {
    turn.batch_begin = turn.group = group;
    turn.batch_end = group_end_ - group < batch_groups ? group_end_ : group + batch_groups;
    turn.block = 0;
  }
  void begin_panel(Turn& turn) const {
    turn.groups = turn.batch_end - turn.group < 2 ? 1 : 2;
    turn.step = steps_ * turn.block / blocks_;
    turn.steps = static_cast<int>(steps_ * (turn.block + 1) / blocks_ - turn.step);
  }

  std::int64_t rows_, steps_, blocks_, group_begin_, group_end_;
};

// Dequantises a turn's panel unit by unit: [step][group] tiles. The second half of a panel of one group stays as it
// was; its sums go nowhere.
template <class Weights>
class Unpacker {
 public:
  explicit Unpacker(const PackedWeightView& weight) : weight_(weight) {}

  void start(const Turn& turn, std::uint8_t* panel) {
    group_ = weight_.data + turn.group * weight_.group_bytes;
    first_step_ = step_ = turn.step;
    end_step_ = turn.step + turn.steps;
    panel_ = tile_ = panel;
    unit_ = 0;
    left_ = units_per_tile * turn.groups * turn.steps;
  }
  int left() const { return left_; }

  // Out of line: each format would be inlined at three places otherwise.
  __attribute__((noinline)) void unpack(int units) {
    for (; units > 0 && left_ > 0; --units, --left_) {
      switch (unit_) {
        case 0:
          unpack_unit<0>();
          break;
        case 1:
          unpack_unit<1>();
          break;
        case 2:
          unpack_unit<2>();
          break;
        case 3:
          unpack_unit<3>();
          break;
        case 4:
          unpack_unit<4>();
          break;
        case 5:
          unpack_unit<5>();
          break;
        case 6:
          unpack_unit<6>();
          break;
        default:
          unpack_unit<7>();
          break;
      }
      if (++unit_ == units_per_tile) next_tile();
    }
  }

 private:
  template <int unit>
  LAZULI_INLINE void unpack_unit() {
    Weights::template unpack<unit, unit + 1>(weight_, group_, step_, tile_);
  }
  LAZULI_INLINE void next_tile() {
    unit_ = 0;
    tile_ += 2 * tile_bytes;
    if (++step_ < end_step_) return;
    step_ = first_step_;
    group_ += weight_.group_bytes;
    tile_ = panel_ + tile_bytes;
  }

  const PackedWeightView& weight_;
  const std::uint8_t* group_ = nullptr;
  std::uint8_t *panel_ = nullptr, *tile_ = nullptr;
  std::int64_t first_step_ = 0, step_ = 0, end_step_ = 0;
  int unit_ = 0, left_ = 0;
};

// Four tiles of sums, 16 rows by 16 outputs each: at `data`, `right` floats on, `down` floats on, and both.
struct Sums {
  float* data;
  std::int64_t stride;  // of their rows, floats
  std::int64_t right, down;

  LAZULI_INLINE void load() const {
    _tile_loadd(0, data, stride * 4);
    _tile_loadd(1, data + right, stride * 4);
    _tile_loadd(2, data + down, stride * 4);
    _tile_loadd(3, data + right + down, stride * 4);
  }
  LAZULI_INLINE void store() const {
    _tile_stored(0, data, stride * 4);
    _tile_stored(1, data + right, stride * 4);
    _tile_stored(2, data + down, stride * 4);
    _tile_stored(3, data + right + down, stride * 4);
  }
};

// In scratch memory tile after tile; in y where they belong.
LAZULI_INLINE Sums sums_in_scratch(float* data) { return {data, tile_rows, pass_sums / 4, pass_sums / 2}; }
LAZULI_INLINE Sums sums_in_y(float* y, std::int64_t y_stride) {
  return {y, y_stride, packed_group_rows, tile_rows * y_stride};
}

LAZULI_INLINE void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// Adds the products of 32 rows and a panel to the sums in the tile registers, and calls between(step) after each step.
// Activations are loaded past the caches' order of use: they would drive the panel out of L1.
template <class Between>
LAZULI_INLINE void multiply_tiles(const std::uint8_t* a, const std::uint8_t* panel, int steps, Between between) {
  for (int step = 0; step < steps; ++step, a += 2 * tile_bytes, panel += 2 * tile_bytes) {
    _tile_loadd(6, panel, 64);
    _tile_stream_loadd(4, a, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panel + tile_bytes, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_stream_loadd(5, a + tile_bytes, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    between(step);
  }
}

// Sums in scratch memory to fewer than 32 rows or outputs of y.
LAZULI_INLINE void copy_sums(const float* sums, std::int64_t rows, std::int64_t outputs, float* y,
                             std::int64_t y_stride) {
  const auto first = static_cast<__mmask16>(outputs < 16 ? (1 << outputs) - 1 : 0xffff);
  const auto second = static_cast<__mmask16>(outputs < 16 ? 0 : outputs < 32 ? (1 << (outputs - 16)) - 1 : 0xffff);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* from = sums + row / tile_rows * (pass_sums / 2) + row % tile_rows * packed_group_rows;
    _mm512_mask_storeu_ps(y + row * y_stride, first, _mm512_load_ps(from));
    _mm512_mask_storeu_ps(y + row * y_stride + 16, second, _mm512_load_ps(from + pass_sums / 4));
  }
}

// Where a turn finds its operands and leaves its results.
struct Operands {
  const PackedWeightView& weight;
  const TiledRowsView& x;
  const PanelSumsView& y;
  float* sums;  // [panel of a batch][pass][4] tiles, where they do not stay in y

  const std::uint8_t* activations(std::int64_t row, std::int64_t step) const {
    return x.tiles + (row / tile_rows * x.steps + 2 * step) * tile_bytes;
  }
  // Where the sums of 32 rows and a panel wait for the next block of columns.
  float* waiting(const Turn& turn, int pass) const {
    if (y.order == PanelOrder::panels)
      return y.values + turn.group * packed_group_rows * y.stride + (turn.row_begin + pass * pass_rows) * panel_outputs;
    return sums + (turn.panel() * turn.passes() + pass) * pass_sums;
  }
};

// The finished sums of a pass, in the tile registers, go to the rows of y.
LAZULI_INLINE void store_rows(const PanelSumsView& y, std::int64_t row, std::int64_t rows, std::int64_t output,
                              std::int64_t outputs, float* waiting) {
  float* to = y.values + row * y.stride + output;
  if (rows < pass_rows || outputs < panel_outputs) {
    sums_in_scratch(waiting).store();
    copy_sums(waiting, rows < pass_rows ? rows : pass_rows, outputs, to, y.stride);
  } else {
    sums_in_y(to, y.stride).store();
  }
}

// `unpacker` prepares the next turn meanwhile.
template <class Weights>
LAZULI_INLINE void multiply_panel(const Operands& operands, const Turns& turns, const Turn& turn,
                                  const std::uint8_t* panel, Unpacker<Weights>& unpacker) {
  const int passes = turn.passes(), steps = turn.steps;
  const int units = (unpacker.left() + passes * steps - 1) / (passes * steps);
  const bool is_last = turns.is_last_block(turn);
  const std::int64_t output = turn.group * packed_group_rows, own = turn.groups * packed_group_rows,
                     left = operands.weight.rows - output, outputs = left < own ? left : own;
  // Each panel of a batch fetches its part of the activations that the batch meets next into L2.
  const std::int64_t next_step = is_last ? 0 : turn.step + steps;
  const std::int64_t part = 2 * tile_bytes / batch_panels;
  for (int pass = 0; pass < passes; ++pass) {
    const std::int64_t row = turn.row_begin + pass * pass_rows;
    float* waiting = operands.waiting(turn, pass);
    const std::uint8_t* ahead = operands.activations(row, next_step) + turn.panel() * steps * part;
    turn.block == 0 ? zero_sums() : sums_in_scratch(waiting).load();
    multiply_tiles(operands.activations(row, turn.step), panel, steps, [&](int step) {
      if (unpacker.left() > 0) unpacker.unpack(units);
      if (turns.is_only_block()) return;
      for (std::int64_t line = 0; line < part; line += 64)
        _mm_prefetch(reinterpret_cast<const char*>(ahead + step * part + line), _MM_HINT_T1);
    });
    if (is_last && operands.y.order != PanelOrder::panels)
      store_rows(operands.y, row, turn.row_end - row, output, outputs, waiting);
    else
      sums_in_scratch(waiting).store();
  }
}

template <class Weights>
__attribute__((noinline)) void multiply_tiled(const PackedWeightView& weight, const TiledRowsView& x,
                                              std::int64_t group_begin, std::int64_t group_end, const PanelSumsView& y,
                                              std::uint8_t* scratch) {
  __asm__ volatile("ldtilecfg %0" ::"m"(tile_configuration));
  const Turns turns(x.rows, x.steps, group_begin, group_end);
  const Operands operands{weight, x, y, reinterpret_cast<float*>(scratch + 2 * panel_bytes)};
  std::uint8_t *panel = scratch, *next_panel = scratch + panel_bytes;
  Unpacker<Weights> unpacker(weight);
  Turn turn = turns.first();
  unpacker.start(turn, panel);
  for (bool more = true; more;) {
    unpacker.unpack(unpacker.left());
    Turn next = turn;
    more = turns.next(next);
    if (more) unpacker.start(next, next_panel);
    multiply_panel(operands, turns, turn, panel, unpacker);
    turn = next;
    std::uint8_t* used = panel;
    panel = next_panel;
    next_panel = used;
  }
  __asm__ volatile("tilerelease");
}

template <class Weights>
LAZULI_INLINE void multiply(const PackedWeightView& weight, const TiledRowsView& x, std::int64_t group_begin,
                            std::int64_t group_end, const PanelSumsView& y, std::uint8_t* scratch) {
  if (x.rows <= 0 || group_begin >= group_end) return;
  if (x.rows == 1 && y.order != PanelOrder::panels)
    multiply_row<Weights>(weight, x, group_begin, group_end, y.values);
  else
    multiply_tiled<Weights>(weight, x, group_begin, group_end, y, scratch);
}

static_assert(panel_sums_rows == pass_rows && panel_sums_outputs == panel_outputs);
static_assert(panel_scratch_weights == 2 * panel_bytes);
static_assert(panel_scratch_row == batch_panels * panel_outputs * 4);
static_assert(panel_scratch_rows == block_rows);

}  // namespace

void tile_rows_amx(const float* x, std::int64_t x_stride, std::int64_t tile_begin, std::int64_t tile_end,
                   const TiledRowsView& out) {
  for (std::int64_t tile = tile_begin; tile < tile_end; ++tile)
    for (std::int64_t step = 0; step < out.steps; ++step) {
      std::uint8_t* target = out.tiles + ((tile / 2 * out.steps + step) * 2 + tile % 2) * tile_bytes;
      const std::int64_t column = step * step_columns;
      const std::int64_t left = out.cols - column;
      const auto low = static_cast<__mmask16>(left < 16 ? (1 << left) - 1 : 0xffff);
      const auto high = static_cast<__mmask16>(left < 16 ? 0 : left < 32 ? (1 << (left - 16)) - 1 : 0xffff);
      for (int row = 0; row < tile_rows; ++row) {
        const std::int64_t source = tile * tile_rows + row;
        const float* values = x + source * x_stride + column;
        const bool inside = source < out.rows;
        const __m512 first = inside ? _mm512_maskz_loadu_ps(low, values) : _mm512_setzero_ps();
        const __m512 second = inside ? _mm512_maskz_loadu_ps(high, values + 16) : _mm512_setzero_ps();
        _mm512_store_si512(target + 64 * row, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
      }
    }
}

void tile_panel_sums_amx(const float* sums, std::int64_t sums_stride, std::int64_t step_begin, std::int64_t step_end,
                         const TiledRowsView& out) {
  for (std::int64_t step = step_begin; step < step_end; ++step)
    for (std::int64_t row = 0; row < sums_stride; row += tile_rows) {
      const float* from = sums + step * panel_outputs * sums_stride + row * panel_outputs;
      std::uint8_t* target = out.tiles + (row / pass_rows * out.steps + step) * 2 * tile_bytes + row % pass_rows * 64;
      for (int r = 0; r < tile_rows; ++r) {
        const __m512 first = _mm512_load_ps(from + r * packed_group_rows);
        const __m512 second = _mm512_load_ps(from + pass_sums / 4 + r * packed_group_rows);
        _mm512_store_si512(target + 64 * r, row + r < out.rows ? to_bf16(first, second) : _mm512_setzero_si512());
      }
    }
}

#define LAZULI_DEFINE(type, Weights)                                                                               \
  void linear_panel_##type##_amx(const PackedWeightView& weight, const TiledRowsView& x, std::int64_t group_begin, \
                                 std::int64_t group_end, const PanelSumsView& y, std::uint8_t* scratch) {          \
    multiply<Weights>(weight, x, group_begin, group_end, y, scratch);                                              \
  }
LAZULI_DEFINE(bf16, Bf16)
LAZULI_DEFINE(mxfp8, Mxfp8)
#define LAZULI_PACKED(type, codes, scales, offset) LAZULI_DEFINE(type, PanelWeights<packed::type##_planes>)
#include <lazuli/backends/cpu/kernels/formats/packed_formats.def>
#undef LAZULI_DEFINE

}  // namespace lazuli
