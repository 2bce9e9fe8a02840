// RocksDB's own two-phase commit: prepare and commit of pessimistic transactions, both synced.
#pragma once

#ifdef LUKHAS_BENCH_ROCKSDB

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rocksdb/options.h>
#include <rocksdb/utilities/transaction.h>
#include <rocksdb/utilities/transaction_db.h>

namespace lukhas::bench {

class RocksDbPeer {
 public:
  explicit RocksDbPeer(const std::string& folder) {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::TransactionDB* opened = nullptr;
    check(rocksdb::TransactionDB::Open(options, rocksdb::TransactionDBOptions(), folder, &opened));
    database_.reset(opened);
  }

  // As many transactions, divided among as many threads.
  void run(int transactions, int threads) {
    std::atomic<int> left = transactions;
    const auto work = [&] {
      rocksdb::WriteOptions synced;
      synced.sync = true;
      for (int number = --left; number >= 0; number = --left) {
        const std::unique_ptr<rocksdb::Transaction> transaction(database_->BeginTransaction(synced));
        const std::string id = std::to_string(++named_);
        check(transaction->SetName(id));
        check(transaction->Put("context-" + id, std::string(200, 'x')));
        check(transaction->Prepare());
        check(transaction->Commit());
      }
    };
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i) all.emplace_back(work);
    for (std::thread& thread : all) thread.join();
  }

 private:
  static void check(const rocksdb::Status& status) {
    if (!status.ok()) throw std::runtime_error(status.ToString());
  }

  std::unique_ptr<rocksdb::TransactionDB> database_;
  std::atomic<std::uint64_t> named_ = 0;
};

}  // namespace lukhas::bench

#endif  // LUKHAS_BENCH_ROCKSDB
