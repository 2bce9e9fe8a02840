// expect: deleted (copy )?(function|constructor)
// A lock has one guard: it can be moved, not copied.
#include "lukhas/lock/lock_guard.hpp"

lukhas::LockGuard copy(const lukhas::LockGuard& guard) { return guard; }
