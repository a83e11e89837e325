// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <lazuli/graph/base/error.h>
#include <lazuli/tests/faults/allocations.h>
#include <lazuli/tests/faults/points.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <new>
#include <string_view>

namespace lazuli::test {
namespace {

constexpr unsigned seconds_of_a_point = 240;

namespace fs = std::filesystem;

char point_text[256] = "at no fault";

std::int64_t open_files() { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()); }

}  // namespace

bool is_exhaustive() {
  const char* chosen = std::getenv("LAZULI_FAULTS");
  return chosen != nullptr && std::string_view(chosen) == "exhaustive";
}

std::vector<std::int64_t> sampled(const std::vector<std::int64_t>& points, std::int64_t budget) {
  const auto count = static_cast<std::int64_t>(points.size());
  if (is_exhaustive() || count <= budget) return points;
  const char* chosen = std::getenv("LAZULI_FAULTS_ROUND");
  const std::int64_t stride = (count + budget - 1) / budget, round = chosen != nullptr ? std::atoll(chosen) : 0;
  std::vector<std::int64_t> taken;
  for (std::int64_t i = round % stride; i < count; i += stride) taken.push_back(points[static_cast<std::size_t>(i)]);
  return taken;
}

std::vector<std::int64_t> up_to(std::int64_t last) {
  std::vector<std::int64_t> points;
  for (std::int64_t point = 1; point <= last; ++point) points.push_back(point);
  return points;
}

void set_current_point(const std::string& what, std::int64_t point) {
  alarm(seconds_of_a_point);
  std::snprintf(point_text, sizeof point_text, "%s, point %lld", what.c_str(), static_cast<long long>(point));
}
const char* current_point() { return point_text; }

void report_points(const std::string& what, std::int64_t tried, std::int64_t of) {
  std::printf("%s: %lld of %lld points tried\n", what.c_str(), static_cast<long long>(tried),
              static_cast<long long>(of));
  std::fflush(stdout);
  std::string key = what;
  std::ranges::replace_if(key, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  testing::Test::RecordProperty(key, fmt::format("{} of {}", tried, of));
}

const char* error_under_fault(const std::function<void()>& call) {
  static char text[512];  // no string, which would be counted as memory that is out
  const auto told = [](const char* what) {
    std::snprintf(text, sizeof text, "%s", what);
    return text;
  };
  try {
    call();
    return told("");
  } catch (const Error& error) {
    EXPECT_EQ(std::strchr(error.what(), '\n'), nullptr) << current_point() << ": " << error.what();
    EXPECT_NE(*error.what(), '\0') << current_point();
    EXPECT_NE(error.kind(), ErrorKind::internal) << current_point() << ": " << error.what();
    return told(error.what());
  } catch (const std::bad_alloc&) {
    return told("out of memory");
  } catch (const std::exception& error) {
    ADD_FAILURE() << current_point() << ": neither an Error nor std::bad_alloc: " << error.what();
    return told(error.what());
  } catch (...) {
    ADD_FAILURE() << current_point() << ": neither an Error nor std::bad_alloc";
    return told("?");
  }
}

Left::Left(std::vector<std::string> folders)
    : folders_(std::move(folders)), before_(names()), open_files_(open_files()) {}

std::vector<std::string> Left::names() const {
  std::vector<std::string> found;
  for (const std::string& folder : folders_)
    if (fs::exists(folder))
      for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        const bool of_a_cache = entry.path().string().find("/lazuli/") != std::string::npos;
        if (!of_a_cache || name.starts_with(".new.") || name.find(".tmp.") != std::string::npos)
          found.push_back(entry.path().string());
      }
  std::ranges::sort(found);
  return found;
}

void Left::expect_as_before() const {
  EXPECT_EQ(names(), before_) << current_point();
  EXPECT_EQ(open_files(), open_files_) << current_point();
}

}  // namespace lazuli::test
