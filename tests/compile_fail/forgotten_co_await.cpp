// expect: ignoring return(ed)? value.*nodiscard
// Without co_await nothing happens at all.
#include "lukhas/lock/async_lock.hpp"

void enter(lukhas::AsyncLock& lock) { lock.acquire("key"); }
