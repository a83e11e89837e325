// SPDX-License-Identifier: MIT
// Pictures by the program `dot`.
#include <fcntl.h>
#include <lazuli/graph/base/fail.h>
#include <lazuli/graph/pictures/pictures.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lazuli {
namespace {

// Anonymous memory as a file. The child reads and writes files instead of pipes, so neither side can block on the
// other, and a child that stops reading raises no SIGPIPE in the host process.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view contents = {}) : descriptor_(memfd_create("lazuli", MFD_CLOEXEC)) {
    if (descriptor_ < 0) fail("to_svg: cannot create a temporary file: {}", std::strerror(errno));
    while (!contents.empty()) {
      const ssize_t written = write(descriptor_, contents.data(), contents.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        const int error = errno;
        close(descriptor_);
        fail("to_svg: cannot write a temporary file: {}", std::strerror(error));
      }
      contents.remove_prefix(static_cast<std::size_t>(written));
    }
    lseek(descriptor_, 0, SEEK_SET);
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int descriptor() const { return descriptor_; }
  std::string contents() const {
    const off_t size = lseek(descriptor_, 0, SEEK_END);
    std::string text(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t count = pread(descriptor_, text.data() + done, text.size() - done, static_cast<off_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      done += static_cast<std::size_t>(count);
    }
    text.resize(done);
    return text;
  }

 private:
  int descriptor_;
};

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) fail("to_svg: lost the process of 'dot': {}", std::strerror(errno));
  return status;
}

}  // namespace

std::string to_svg(const Graph& graph, const DotOptions& options) {
  const MemoryFile input(to_dot(graph, options)), output, errors;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  std::string program = "dot", format = "-Tsvg";
  char* arguments[] = {program.data(), format.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) fail("to_svg: the program 'dot' is not installed; expected Graphviz (Debian package graphviz)");
  if (error != 0) fail("to_svg: cannot run 'dot' (Debian package graphviz): {}", std::strerror(error));
  if (const int status = wait_for(child); !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string message = errors.contents();
    fail("to_svg: 'dot' failed: {}", message.substr(0, message.find('\n')));
  }
  return output.contents();
}

}  // namespace lazuli
