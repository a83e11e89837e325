// SPDX-License-Identifier: MIT
#include <lazuli/runtime/compiled_graph.h>
#include <lazuli/runtime/profile/limits_json.h>
#include <lazuli/runtime/profile/profile.h>
#include <lazuli/runtime/profile/profile_verdict.h>

#include <nlohmann/json.hpp>

namespace lazuli {
namespace {

using Json = nlohmann::ordered_json;

std::string_view to_string(ThreadState state) {
  constexpr std::string_view names[] = {"computes", "launch", "barrier", "idle"};
  return names[static_cast<std::size_t>(state)];
}

std::string_view to_string(StepKind kind) {
  constexpr std::string_view names[] = {"matmul", "attention", "other"};
  return names[static_cast<std::size_t>(kind)];
}

// A node's bytes divide over the threads that ran it as its time does not: evenly.
Json entries(const Profile& profile) {
  std::vector<int> threads(profile.nodes.size());
  for (const ProfiledSpan& span : profile.spans)
    if (span.state == ThreadState::computes) ++threads[static_cast<std::size_t>(span.node)];
  Json entries = Json::array();
  for (const ProfiledSpan& span : profile.spans) {
    if (span.state != ThreadState::computes) {
      entries.push_back({{"id", -1},
                         {"op", "wait"},
                         {"scope", ""},
                         {"kernel", ""},
                         {"thread", span.thread},
                         {"us", span.us},
                         {"bytes", 0},
                         {"begin_us", span.begin_us},
                         {"state", to_string(span.state)}});
      continue;
    }
    const ProfiledNode& node = profile.nodes[static_cast<std::size_t>(span.node)];
    entries.push_back({{"id", node.id},
                       {"op", node.op},
                       {"scope", node.scope},
                       {"kernel", node.kernel},
                       {"thread", span.thread},
                       {"us", span.us},
                       {"bytes", node.bytes / threads[static_cast<std::size_t>(span.node)]},
                       {"begin_us", span.begin_us},
                       {"state", to_string(span.state)}});
  }
  return entries;
}

Json parts(const ProfiledNode& node) {
  Json parts = Json::array();
  for (const ProfiledPart& part : node.parts)
    parts.push_back({{"op", part.op},
                     {"scope", part.scope},
                     {"kernel", part.kernel},
                     {"isa", part.isa},
                     {"kind", to_string(part.kind)},
                     {"us", part.us},
                     {"wall_us", part.wall_us},
                     {"share", node.us > 0 ? part.us / node.us : 0},
                     {"bytes", part.bytes},
                     {"weight_bytes", part.weight_bytes},
                     {"operations", part.operations}});
  return parts;
}

Json launches(const Profile& profile) {
  Json launches = Json::array();
  for (const ProfiledNode& node : profile.nodes)
    launches.push_back({{"id", node.id},
                        {"op", node.op},
                        {"scope", node.scope},
                        {"kernel", node.kernel},
                        {"isa", node.isa},
                        {"kind", to_string(node.kind)},
                        {"split", node.split},
                        {"us", node.us},
                        {"wall_us", node.wall_us},
                        {"bytes", node.bytes},
                        {"weight_bytes", node.weight_bytes},
                        {"operations", node.operations},
                        {"gbps", node.gbps()},
                        {"gflops", node.gflops()},
                        {"limit_share", profile.limit_share(node)},
                        {"parts", parts(node)}});
  return launches;
}

Json pipeline(const StepPipeline& pipeline) {
  return {{"build_us", pipeline.build_us},  {"lookup_us", pipeline.lookup_us}, {"launch_us", pipeline.launch_us},
          {"run_us", pipeline.run_us},      {"wait_us", pipeline.wait_us},     {"sample_us", pipeline.sample_us},
          {"total_us", pipeline.total_us()}};
}

Json verdict(const StepVerdict& verdict) {
  return {{"bound", lazuli::to_string(verdict.bound)},
          {"text", verdict.text},
          {"fusion_share", verdict.fusion_share},
          {"fusion_pays", verdict.fusion_pays},
          {"fusion_text", verdict.fusion_text}};
}

Json histogram(const CompiledGraph& compiled) {
  Json counts = Json::array();
  for (const OpCount& count : op_histogram(compiled))
    counts.push_back(
        {{"op", count.op}, {"built", count.built}, {"fused", count.fused}, {"scheduled", count.scheduled}});
  return counts;
}

Json layers(const Profile& profile) {
  Json layers = Json::array();
  for (const LayerTime& layer : times_by_layer(profile))
    layers.push_back({{"layer", layer.layer},
                      {"matmul_us", layer.matmul_us},
                      {"attention_us", layer.attention_us},
                      {"other_us", layer.other_us}});
  return layers;
}

}  // namespace

std::string to_json(const Profile& profile) {
  Json document{{"phase", lazuli::to_string(profile.scheduled().phase)},
                {"wall_us", profile.wall_us},
                {"threads", profile.threads}};
  for (const auto& [name, value] : profile.labels) document["labels"][name] = value;
  document["steps"] = profile.nodes.size();
  document["barriers"] = profile.barriers();
  document["preemptions"] = profile.preemptions;
  document["arena_bytes"] = profile.compiled->program->arena_bytes();
  document["pipeline"] = pipeline(profile.pipeline);
  document["weight_bytes"] = profile.weight_bytes();
  document["matmul_us"] = profile.matmul_us();
  document["floor_us"] = profile.floor_us();
  if (profile.limits) document["limits"] = limits_json(*profile.limits);
  if (profile.overhead)
    document["overhead"] = {{"share", profile.overhead->share},
                            {"low", profile.overhead->low},
                            {"high", profile.overhead->high},
                            {"pairs", profile.overhead->pairs}};
  for (const ThreadState state : {ThreadState::computes, ThreadState::launch, ThreadState::barrier, ThreadState::idle})
    document["thread_us"][std::string(to_string(state))] = profile.thread_us(state);
  for (const StepKind kind : {StepKind::matmul, StepKind::attention, StepKind::other})
    document["kind_us"][std::string(to_string(kind))] = profile.thread_us(kind);
  document["verdict"] = verdict(judge(figures_of(profile)));
  document["nodes"] = entries(profile);
  document["launches"] = launches(profile);
  document["layers"] = layers(profile);
  document["histogram"] = histogram(*profile.compiled);
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lazuli
