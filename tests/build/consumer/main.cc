#include <lazuli/graph/types/shape.h>

#include <cstdio>

int main() {
  const lazuli::Type type{lazuli::f32, {4, 2048}};
  std::puts(lazuli::to_string(type).c_str());
}
