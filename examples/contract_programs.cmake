# The programs here that fix the shape of the public interface. They are built and run against the installed
# package, unchanged. Where ../shared/contract is at hand, a test sees that the copies are the same.
set(LUKHAS_CONTRACT_PROGRAMS
  lock
  preserver
  router
  simulated_test
  store
  ttl
)
# Those that need a model server and link lukhas::http and lukhas::sqlite too; tests/package/<name>_test runs
# each.
set(LUKHAS_CONTRACT_PROGRAMS_WITH_MODEL
  quickstart
)
