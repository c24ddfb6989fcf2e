/* SPDX-License-Identifier: MIT */
/* operators.cpp - a host's own operators new and delete, as C++ lets it have them: what
 * they give out is nothing that free() takes. */
#include <cstdio>
#include <cstdlib>
#include <new>

namespace
{

constexpr unsigned long mark = 0x6f70657261746f72;

struct alignas(16) head {
    unsigned long mark;
};

} // namespace

void *operator new(std::size_t size)
{
    auto *h = static_cast<head *>(std::malloc(sizeof(head) + size));

    if (h == nullptr)
        throw std::bad_alloc();
    h->mark = mark;
    return h + 1;
}

void operator delete(void *memory) noexcept
{
    if (memory == nullptr)
        return;
    head *h = static_cast<head *>(memory) - 1;
    if (h->mark != mark) {
        std::fputs("operator delete: not from operator new\n", stderr);
        std::abort();
    }
    h->mark = 0;
    std::free(h);
}

void operator delete(void *memory, std::size_t) noexcept
{
    operator delete(memory);
}
