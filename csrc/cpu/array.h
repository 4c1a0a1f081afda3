// What a kernel sees of its arguments: a pointer, a shape, and a promise the binding has checked (csrc/binding.h).
//
//   In<T>, Out<T>          C-contiguous, aligned, of exactly this dtype; Out is writable. uint8_t stands for bool.
//   InView<T>, OutView<T>  any strides; an InView may also hold one Python number.
//   Maybe<In<T>>           may be None in Python: `.data` is then null.
//   List<In<T>>            any number of arrays, a tuple or list in Python.
//
// Sizes are the kernel's own business: `require(...)` them before the first access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace minigrad {

using Size = std::ptrdiff_t;

// Floats of two bytes; their values are in halves.h.
struct Float16 {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

inline std::string shape_text(const Size* shape, int ndim) {
  std::string text = "(";
  for (int d = 0; d < ndim; ++d) text += (d ? ", " : "") + std::to_string(shape[d]);
  return text + (ndim == 1 ? ",)" : ")");
}

// Contiguous array. `T` is const for an input.
template <class T>
struct Array {
  T* data = nullptr;
  int ndim = 0;
  const Size* shape = nullptr;
  Size size = 0;

  Size cols() const { return ndim ? shape[ndim - 1] : 1; }
  Size rows() const { return ndim && shape[ndim - 1] ? size / shape[ndim - 1] : ndim ? rows_of_empty() : 1; }
  explicit operator bool() const { return data != nullptr; }

 private:
  Size rows_of_empty() const {
    Size rows = 1;
    for (int d = 0; d + 1 < ndim; ++d) rows *= shape[d];
    return rows;
  }
};

template <class T>
struct In : Array<const T> {};

template <class T>
struct Out : Array<T> {};

// `size` counts the elements of all arrays.
template <class A>
struct List {
  std::vector<A> items;
  Size size = 0;

  Size count() const { return static_cast<Size>(items.size()); }
  const A& operator[](Size i) const { return items[i]; }
  explicit operator bool() const { return !items.empty(); }
};

template <class A>
struct Maybe : A {};

// Strided array; strides count bytes, as numpy's do. A Python number is held in `number` and has no dimensions.
template <class T>
struct View : Array<T> {
  const Size* strides = nullptr;
  bool contiguous = true;
};

template <class T>
struct InView : View<const T> {
  T number{};
  const T* pointer() const { return this->data ? this->data : &number; }
};

template <class T>
struct OutView : View<T> {
  T* pointer() const { return this->data; }
};

inline void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

template <class A, class B>
bool same_shape(const A& a, const B& b) {
  if (a.ndim != b.ndim) return false;
  for (int d = 0; d < a.ndim; ++d)
    if (a.shape[d] != b.shape[d]) return false;
  return true;
}

// The usual check: both arrays have the same shape; the message names both.
template <class A, class B>
void require_same_shape(const A& a, const B& b, const char* what) {
  if (!same_shape(a, b))
    throw std::invalid_argument(std::string(what) + " have shapes " + shape_text(a.shape, a.ndim) + " and " +
                                shape_text(b.shape, b.ndim) + ", expected equal ones");
}

}  // namespace minigrad
