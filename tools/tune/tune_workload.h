// SPDX-License-Identifier: MIT
// What `lazuli tune` measures: a prompt and decode steps of one model, under any settings.
#pragma once

#include <lazuli/models/model.h>
#include <lazuli/runtime/tuning/tune.h>
#include <lazuli/tools/support/options.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lazuli::tool {

struct TuneWork {
  std::int64_t prompt = 512;  // tokens; larger chunks than that are not tried
  std::int64_t depth = 64;    // tokens of context before those that are generated
  std::int64_t decode = 8;    // tokens of one decode sample
  bool disk_cache = true;     // as SessionOptions
};

class TuneWorkload {
 public:
  // `options` says the model, and what is not tuned: precision, type of the caches.
  TuneWorkload(CommonOptions options, TuneWork work);

  const ModelInfo& info() { return model("stacked").info(); }
  // What can be chosen for this model on this host and is not stated in the options; present choices first: those that
  // hold without a tuning.
  std::vector<TunableChoice> choices();
  // A session and runners of their own, compiled and warm. The parts are "prompt" and "decode".
  std::shared_ptr<const Contender> prepare(const Settings& settings);

 private:
  const LanguageModel& model(const std::string& altup);

  CommonOptions options_;
  TuneWork work_;
  std::map<std::string, std::unique_ptr<LanguageModel>> models_;  // by the form of AltUp
};

}  // namespace lazuli::tool
