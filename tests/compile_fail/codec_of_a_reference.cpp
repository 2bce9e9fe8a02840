// expect: there is no lukhas::Codec for this type that encodes it
// A reference that was kept would refer to what is gone.
#include <functional>

#include "lukhas/store/async_memory_store.hpp"

void keep(lukhas::AsyncMemoryStore& store, int& value) { store.trySet("key", std::ref(value)); }
