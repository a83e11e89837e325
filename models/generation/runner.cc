// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <lazuli/graph/base/event.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/base/round_up.h>
#include <lazuli/graph/ops/ops.h>
#include <lazuli/models/generation/runner.h>
#include <lazuli/models/generation/step_arguments.h>
#include <lazuli/models/text/tokenizer.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace lazuli {
namespace {

// Rings are a multiple of this long, so that attention's key tiles never straddle their end.
constexpr std::int64_t cache_granularity = 64;
constexpr std::int64_t smallest_capacity = 256;

std::int64_t next_power_of_two(std::int64_t value) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1))));
}

// Rows that no position has reached must be finite numbers.
BufferRef empty_cache(const Type& type) {
  BufferRef buffer = Buffer::allocate(static_cast<std::size_t>(type.bytes()));
  std::memset(buffer->data(), 0, buffer->size());
  return buffer;
}

void check_kv_dtype(DType dtype, const std::vector<KvCacheShape>& shapes) {
  if ((!is_real(dtype) || dtype == DType::f64) && dtype != DType::q8_0)
    fail("kv: {} given, expected f16, bf16, f32 or q8_0", to_string(dtype));
  const int block = info(dtype).block_elements;
  for (std::size_t i = 0; i < shapes.size(); ++i)
    if (shapes[i].head_dim % block != 0)
      fail("kv: heads of cache {} have {} values, expected a multiple of {}'s block of {}", i, shapes[i].head_dim,
           to_string(dtype), block);
}

// The last length that asks for no larger cache than `positions` do.
std::int64_t roomy_length(std::int64_t positions) { return std::max(smallest_capacity, next_power_of_two(positions)); }

Array scalar_input(std::int64_t value) { return Array::from({static_cast<std::int32_t>(value)}, {}); }

// f32 [vocab], minus infinity for the tokens a model never generates and 0 for the others; undefined where there are
// none, so that steps of other models have no op for them.
Array suppression_of(const LanguageModel& model) {
  const std::vector<std::int32_t> suppressed = never_generated(model);
  if (suppressed.empty()) return {};
  std::vector<float> mask(static_cast<std::size_t>(model.info().vocab_size), 0.0f);
  for (const std::int32_t id : suppressed) mask[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
  BufferRef buffer = Buffer::allocate(mask.size() * sizeof(float));
  std::copy(mask.begin(), mask.end(), buffer->as<float>());
  return Array::constant(std::move(buffer), {DType::f32, {model.info().vocab_size}}, "suppressed_tokens");
}

Array largest(const Array& logits, const Array& suppression) {
  return argmax(suppression.defined() ? logits + suppression : logits);
}

}  // namespace

std::vector<std::int32_t> never_generated(const LanguageModel& model) {
  const std::shared_ptr<const Tokenizer> tokenizer = model.tokenizer();
  if (!tokenizer) return {};
  const auto rows = static_cast<std::int32_t>(model.info().vocab_size);
  std::vector<std::int32_t> ids;
  for (const std::int32_t id : tokenizer->suppressed())
    if (id < rows) ids.push_back(id);
  for (std::int32_t id = tokenizer->vocab_size(); id < rows; ++id) ids.push_back(id);
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Array flaw_of(const Array& rows) { return sum(rows * 0.0, {-1}); }

Runner::Runner(const LanguageModel& model, const RunnerOptions& options)
    : model_(model),
      chunk_(options.chunk == 0 ? model.info().prefill_chunk : options.chunk),
      kv_dtype_(options.kv_dtype),
      suppression_(suppression_of(model)) {
  const std::int64_t trained = model.info().context_length;
  context_ = options.context == 0 ? trained : options.context;
  if (context_ < 1) fail("context: {} given, expected at least 1", options.context);
  if (chunk_ != RunnerOptions::whole_prompt && chunk_ < 1) fail("chunk: {} given, expected at least 1", options.chunk);
  check_kv_dtype(kv_dtype_, model.caches());
  prefill_ = make_function(Phase::prefill, Want::caches);
  prefill_last_ = make_function(Phase::prefill, Want::last_logits);
  prefill_all_ = make_function(Phase::prefill, Want::all_logits);
  decode_ = make_function(Phase::decode, Want::all_logits);
  decode_greedy_ = make_function(Phase::decode, Want::greedy);
}

std::int64_t Runner::chunk_for(std::int64_t prompt) const {
  return chunk_ == RunnerOptions::whole_prompt ? std::max<std::int64_t>(prompt, 1) : chunk_;
}

CompiledFunction Runner::make_function(Phase phase, Want want) const {
  const bool has_last_row = want == Want::last_logits;
  const std::size_t caches = 2 * model_.caches().size(), first_cache = StepArguments::first_cache(has_last_row);
  CompileOptions options;
  options.phase = phase;
  options.argument_names = StepArguments::names(caches, has_last_row);
  for (std::size_t i = 0; i < caches; ++i) options.donate.push_back(static_cast<int>(first_cache + i));
  return compile(
      [&model = model_, suppression = suppression_, has_last_row, want](const std::vector<Array>& arguments) {
        const StepArguments operands = StepArguments::from_arguments(arguments, has_last_row);
        StepOutputs step = model.forward(operands.inputs);
        std::vector<Array> outputs = std::move(step.caches);
        if (want == Want::all_logits) outputs.push_back(step.logits);
        if (want == Want::last_logits) outputs.push_back(take_rows(step.logits, operands.last_row));
        if (want == Want::greedy) {
          // Of the head's input, not of the logits: a second reader of these would have all of them written, where
          // linear_argmax keeps the largest alone.
          outputs.push_back(flaw_of(step.head_input.defined() ? step.head_input : step.logits));
          outputs.push_back(largest(step.logits, suppression));
        }
        return outputs;
      },
      std::move(options));
}

void Runner::check_prompt(std::span<const std::int32_t> ids) const {
  if (ids.empty()) fail("the prompt is empty; expected at least one token");
  const std::int64_t vocabulary = model_.info().vocab_size;
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= vocabulary)
      fail("token id {} at position {} is outside the vocabulary [0, {})", ids[i], i, vocabulary);
  const auto needed = length_ + static_cast<std::int64_t>(ids.size());
  if (needed > context_) fail("the prompt needs {} positions, the context holds {}", needed, context_);
}

// The rows of a step: a prompt's last rows are padded, so that few sizes need programs. Short ones take powers of two;
// from there on each doubling has four sizes, since padding costs as much as rows do.
std::int64_t Runner::bucket_for(std::int64_t rows, std::int64_t chunk) const {
  constexpr std::int64_t longest_short = 128;
  const std::int64_t power = next_power_of_two(rows);
  return std::min(chunk, power <= longest_short ? power : round_up(rows, power / 8));
}

// The first position that a query at `position` sees.
std::int64_t Runner::first_visible(const KvCacheShape& shape, std::int64_t position) const {
  return shape.window == 0 ? 0 : std::max<std::int64_t>(position - shape.window + 1, 0);
}

// Room for `positions`, and in rings for the rows of padding behind them, up to `padded_end`: those that fall past the
// end of a ring wrap around and overwrite its first rows, which nobody may need any more. A cache without a window
// drops them.
std::int64_t Runner::capacity_for(const KvCacheShape& shape, std::int64_t positions, std::int64_t padded_end,
                                  std::int64_t bucket) const {
  const std::int64_t whole = std::max(bucket, std::min(roomy_length(positions), round_up(context_, cache_granularity)));
  if (shape.window == 0) return whole;
  return std::min(std::max(whole, round_up(padded_end, cache_granularity)),
                  round_up(shape.window - 1 + bucket, cache_granularity));
}

// Grows what is too small. A ring that has wrapped is never grown: it is as long as it will ever be, unless a larger
// bucket comes, for which its rows are laid out anew.
void Runner::reserve(std::int64_t rows, std::int64_t chunk) {
  // From nothing caches may have to be made anew.
  if (chunk == 1 && length_ > 0 && length_ + rows <= decode_room_) return;
  const std::int64_t last = (rows - 1) % chunk + 1, padded_end = length_ + rows - last + bucket_for(last, chunk);
  bucket_ = std::max(bucket_, bucket_for(rows, chunk));
  const std::vector<KvCacheShape>& shapes = model_.caches();
  // All of them or none: caches of different steps must not meet.
  std::vector<Array> caches = caches_, grown;
  std::vector<std::int64_t> held = first_held_, capacities = capacities_;
  if (caches.empty() || (length_ == 0 && lost_caches())) {
    caches.assign(2 * shapes.size(), {});
    held.assign(shapes.size(), 0);
    capacities.assign(shapes.size(), 0);
  }
  for (std::size_t i = 0; i < caches.size(); ++i) {
    const KvCacheShape& shape = shapes[i / 2];
    const std::int64_t capacity = capacity_for(shape, length_ + rows, padded_end, bucket_);
    Array& cache = caches[i];
    if (cache.defined() && cache.size(0) >= capacity) continue;
    const Type type{kv_dtype_, {capacity, shape.kv_heads, shape.head_dim}};
    Array fresh = Array::from(empty_cache(type), type);
    if (cache.defined()) {
      // Position p moves from row p mod old to row p mod capacity, for the positions still in the old ring.
      const std::int64_t old = cache.size(0), kept = std::min(old, length_), first = length_ - kept;
      std::vector<std::int32_t> positions;
      for (std::int64_t p = first; p < length_; ++p) positions.push_back(static_cast<std::int32_t>(p % old));
      if (kept > 0)
        fresh = slice_update(fresh, take_rows(cache, Array::from(positions, {kept})), scalar_input(first), 0, true);
    }
    cache = fresh;
    capacities[i / 2] = capacity;
    grown.push_back(cache);
  }
  if (!grown.empty()) async_eval(grown);
  caches_ = std::move(caches);
  first_held_ = std::move(held);
  capacities_ = std::move(capacities);
  decode_room_ = roomy_length(length_ + rows);
}

// All but the caches.
StepArguments Runner::step_arguments(Array tokens, std::int64_t rows, std::int64_t bucket, bool last_row) const {
  std::vector<std::int32_t> positions(static_cast<std::size_t>(bucket), -1);
  for (std::int64_t row = 0; row < rows; ++row)
    positions[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(length_ + row);
  StepArguments step;
  step.inputs = {
      std::move(tokens), Array::from(positions, {bucket}), scalar_input(length_), scalar_input(length_ + rows), {}};
  if (last_row) step.last_row = Array::from({static_cast<std::int32_t>(rows - 1)}, {1});
  return step;
}

// The caches' last handles are given up, so that they come back as the same handles.
std::vector<Array> Runner::run_on_caches(const CompiledFunction& function, StepArguments step) {
  const auto caches = static_cast<std::ptrdiff_t>(caches_.size());
  std::vector<Array> arguments = std::move(step).to_arguments(caches_);
  try {
    return function(std::move(arguments));
  } catch (...) {
    std::move(arguments.end() - caches, arguments.end(), caches_.begin());
    throw;
  }
}

Array Runner::finish(const CompiledFunction& function, StepArguments step, Want want, std::int64_t rows) {
  const std::int64_t padded_end = length_ + step.inputs.tokens.size(0);
  std::vector<Array> outputs = run_on_caches(function, std::move(step));
  Array wanted;
  if (want != Want::caches) {
    wanted = outputs.back();
    outputs.pop_back();
  }
  if (want == Want::greedy) {
    greedy_flaw_ = outputs.back();
    outputs.pop_back();
  }
  caches_ = std::move(outputs);
  length_ += rows;
  for (std::size_t i = 0; i < first_held_.size(); ++i)
    if (model_.caches()[i].window > 0) first_held_[i] = std::max(first_held_[i], padded_end - capacities_[i]);
  return wanted;
}

Array Runner::run_chunk(const CompiledFunction& function, Want want, std::span<const std::int32_t> ids,
                        std::int64_t bucket) {
  const auto rows = static_cast<std::int64_t>(ids.size());
  std::vector<std::int32_t> tokens(ids.begin(), ids.end());
  tokens.resize(static_cast<std::size_t>(bucket), 0);
  return finish(function, step_arguments(Array::from(tokens, {bucket}), rows, bucket, want == Want::last_logits), want,
                rows);
}

Array Runner::prefill(std::span<const std::int32_t> ids, const PrefillProgress& progress) {
  check_prompt(ids);
  const auto total = static_cast<std::int64_t>(ids.size());
  const std::int64_t chunk = chunk_for(total);
  reserve(total, chunk);
  for (std::int64_t done = 0;;) {
    const std::int64_t rows = std::min(chunk, total - done);
    const bool last = done + rows == total;
    const Array logits =
        run_chunk(last ? prefill_last_ : prefill_, last ? Want::last_logits : Want::caches,
                  ids.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(rows)), bucket_for(rows, chunk));
    done += rows;
    const bool go_on = !progress || progress(done, total);
    if (last || !go_on) return logits;
  }
}

void Runner::prefill_logits(std::span<const std::int32_t> ids,
                            const std::function<void(std::int64_t, const Array&, std::int64_t)>& receive) {
  check_prompt(ids);
  const auto total = static_cast<std::int64_t>(ids.size());
  const std::int64_t chunk = chunk_for(total);
  reserve(total, chunk);
  for (std::int64_t done = 0; done < total;) {
    const std::int64_t rows = std::min(chunk, total - done);
    const Array logits =
        run_chunk(prefill_all_, Want::all_logits,
                  ids.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(rows)), bucket_for(rows, chunk));
    wait(logits);
    receive(done, logits, rows);
    done += rows;
  }
}

Array Runner::decode(const Array& token) {
  if (length_ + 1 > context_) fail("the context of {} positions is full", context_);
  reserve(1, 1);
  return finish(decode_, step_arguments(token, 1, 1, false), Want::all_logits, 1);
}

Array Runner::decode_greedy(const Array& token) {
  if (length_ + 1 > context_) fail("the context of {} positions is full", context_);
  reserve(1, 1);
  return finish(decode_greedy_, step_arguments(token, 1, 1, false), Want::greedy, 1);
}

Array Runner::likeliest(const Array& logits) const { return largest(logits, suppression_); }

// A step that failed leaves its error in what was given up to it.
bool Runner::lost_caches() const {
  return std::ranges::any_of(caches_, [](const Array& cache) {
    return !cache.defined() || (cache.evaluated() && cache.result().ready && cache.result().ready->error());
  });
}

std::int64_t Runner::keepable(std::int64_t length) const {
  if (length < 0 || length > length_) fail("truncate: {} given, expected 0 to {}", length, length_);
  if (lost_caches()) return 0;
  for (std::size_t i = 0; i < first_held_.size(); ++i)
    if (first_held_[i] > first_visible(model_.caches()[i], length)) return 0;
  return length;
}

void Runner::truncate(std::int64_t length) {
  const bool can_keep = keepable(length) == length;
  if (!can_keep && lost_caches())
    fail("truncate: to {} of {} positions: a step failed and the caches were lost with it; expected 0", length,
         length_);
  if (!can_keep)
    fail("truncate: to {} of {} positions: a sliding window has overwritten keys that position {} sees", length,
         length_, length);
  length_ = length;
  for (std::int64_t& first : first_held_) first = std::min(first, length);
}

void Runner::settle() const noexcept {
  for (const Array& cache : caches_) try {
      wait(cache);
    } catch (...) {  // keepable() asks for it
    }
}

std::vector<Runner::CacheView> Runner::cache_views() const {
  std::vector<CacheView> views;
  for (std::size_t i = 0; i < caches_.size(); ++i) {
    wait(caches_[i]);
    views.push_back({caches_[i], first_held_[i / 2]});
  }
  return views;
}

void Runner::restore(std::int64_t length, std::span<const CacheView> views) {
  const std::vector<KvCacheShape>& shapes = model_.caches();
  if (length < 1 || length > context_) fail("restore: {} positions, the context holds 1 to {}", length, context_);
  if (views.size() != 2 * shapes.size()) fail("restore: {} caches, expected {}", views.size(), 2 * shapes.size());
  const std::int64_t chunk = chunk_for(length), bucket = bucket_for(length, chunk);
  std::vector<Array> caches;
  std::vector<std::int64_t> held(shapes.size()), capacities(shapes.size());
  for (std::size_t i = 0; i < views.size(); ++i) {
    const KvCacheShape& shape = shapes[i / 2];
    const auto& [rows, given] = views[i];
    const std::int64_t latest = first_visible(shape, length);
    if (given < 0 || given > latest)
      fail("restore: cache {} begins at position {}, expected 0 to {}", i, given, latest);
    const Type expected{kv_dtype_, {length - given, shape.kv_heads, shape.head_dim}};
    if (rows.type() != expected)
      fail("restore: cache {} is {}, expected {}", i, to_string(rows.type()), to_string(expected));
    const Type type{kv_dtype_, {capacity_for(shape, length, length, bucket), shape.kv_heads, shape.head_dim}};
    const std::int64_t capacity = type.shape[0], first = std::max(given, length - capacity);
    const auto row_bytes = static_cast<std::size_t>(type.bytes() / capacity);
    BufferRef buffer = empty_cache(type);
    const std::byte* source = rows.bytes();
    for (std::int64_t p = first; p < length; ++p)
      std::memcpy(buffer->data() + static_cast<std::size_t>(p % capacity) * row_bytes,
                  source + static_cast<std::size_t>(p - given) * row_bytes, row_bytes);
    caches.push_back(Array::from(std::move(buffer), type));
    held[i / 2] = std::max(held[i / 2], first);
    capacities[i / 2] = capacity;
  }
  caches_ = std::move(caches);
  first_held_ = std::move(held);
  capacities_ = std::move(capacities);
  decode_room_ = roomy_length(length);
  length_ = length;
  bucket_ = bucket;
}

Runner::Step Runner::listed_step(const CompiledFunction& function, StepArguments step) const {
  std::vector<Array> caches = caches_;
  return {function, std::move(step).to_arguments(caches)};
}

Runner::Step Runner::prefill_step(std::int64_t rows) {
  const std::int64_t bucket = bucket_for(rows, chunk_for(rows));
  rows = std::min(rows, bucket);
  reserve(rows, bucket);
  const std::vector<std::int32_t> tokens(static_cast<std::size_t>(bucket), 2);
  return listed_step(prefill_last_, step_arguments(Array::from(tokens, {bucket}), rows, bucket, true));
}

Runner::Step Runner::decode_step() {
  reserve(1, 1);
  return listed_step(decode_greedy_, step_arguments(Array::from({std::int32_t{2}}, {1}), 1, 1, false));
}

std::int64_t Runner::cache_bytes() const {
  std::int64_t total = 0;
  for (const Array& cache : caches_)
    if (cache.defined()) total += cache.type().bytes();
  return total;
}

}  // namespace lazuli
