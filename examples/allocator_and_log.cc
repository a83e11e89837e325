// SPDX-License-Identifier: MIT
// Memory from a budget of the program's own, and the messages of a session in the program's log.
#include <lazuli/lazuli.h>

#include <atomic>
#include <cstdlib>
#include <iostream>

namespace lz = lazuli;

namespace {

class Budget final : public lz::Allocator {
 public:
  explicit Budget(std::size_t bytes) : left_(static_cast<std::ptrdiff_t>(bytes)) {}

  void* allocate(std::size_t bytes, std::size_t alignment) override {
    if ((left_ -= static_cast<std::ptrdiff_t>(bytes)) >= 0)
      if (void* memory = std::aligned_alloc(alignment, bytes)) return memory;
    left_ += static_cast<std::ptrdiff_t>(bytes);
    return nullptr;
  }
  void deallocate(void* memory, std::size_t bytes, std::size_t) noexcept override {
    std::free(memory);
    left_ += static_cast<std::ptrdiff_t>(bytes);
  }
  std::ptrdiff_t left() const { return left_; }

 private:
  std::atomic<std::ptrdiff_t> left_;
};

}  // namespace

int main() {
  const auto budget = std::make_shared<Budget>(1 << 20);
  std::string refusal;
  int messages = 0;
  {
    lz::SessionOptions options;
    options.allocator = budget;
    options.on_log = [&](lz::LogLevel level, std::string_view text) {
      ++messages;
      std::cout << to_string(level) << ": " << text << "\n";
    };
    lz::Session session(options);
    const lz::Array small = lz::full({64, 64}, 1) + 1.0, large = lz::full({1024, 1024}, 1) + 1.0;
    session.eval(small);
    try {
      session.eval(large);
    } catch (const lz::Error& error) {
      if (error.kind() == lz::ErrorKind::memory) refusal = error.details().expected;
    }
    if (small.data<float>()[0] != 2) return 1;
  }
  std::cout << "refused: " << refusal << "; back: " << budget->left() << " bytes\n";
  return refusal == "4194304 bytes" && budget->left() == 1 << 20 && messages > 0 ? 0 : 1;
}
