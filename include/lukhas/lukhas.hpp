// All of lukhas that needs no library beside its headers; http/ and participants/ have doors of their own.
#pragma once

#include "lukhas/lock/async_lock.hpp"                    // IWYU pragma: export
#include "lukhas/preserve/atomic_context_preserver.hpp"  // IWYU pragma: export
#include "lukhas/route/model_router.hpp"                 // IWYU pragma: export
#include "lukhas/store/async_memory_store.hpp"           // IWYU pragma: export
#include "lukhas/system/context_system.hpp"              // IWYU pragma: export
#include "lukhas/ttl/ttl_enforcement_engine.hpp"         // IWYU pragma: export
