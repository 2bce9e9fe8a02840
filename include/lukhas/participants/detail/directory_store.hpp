// DirectoryStore: contexts as files of one directory, and the steps that keep them whole. One call at a time.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <fmt/format.h>

#include "lukhas/journal/disk.hpp"
#include "lukhas/journal/journal_error.hpp"
#include "lukhas/participants/detail/abort_fence.hpp"
#include "lukhas/participants/detail/context_file.hpp"
#include "lukhas/participants/detail/context_file_name.hpp"
#include "lukhas/participants/detail/participant_errors.hpp"

namespace lukhas::detail {

//   contexts/NAME         the committed state
//   staging/NAME.intent   prepared, neither committed nor aborted
//   staging/NAME.7.tmp    being written; removed by the next open
//   staging/aborted       the fence, as a payload in the form of a context's file
//   lock
//
//   prepare   write and sync staging/NAME.7.tmp, rename it to NAME.intent, sync staging
//   commit    rename staging/NAME.intent to contexts/NAME, sync contexts, then staging. It needs no space,
//             so a full disk does not keep a promise from being kept. What forgets the context is renamed
//             too: in contexts, such a file means that there is no such context. Only then it is removed.
//   abort     remove staging/NAME.intent, replace the fence, sync staging
//
// Content is synced before it gets a name, so what has a name is whole, or damaged since. Names are synced
// before anybody is told: a failed sync of a directory leaves it marked, and every later answer waits for one
// that succeeds, also the answer "that was done before". (A second sync of a *file* may succeed wrongly,
// because the kernel drops the pages that it could not write; so a file is never synced twice. The names are
// in the file system's own journal, which stops the file system when it cannot be written.)
class DirectoryStore {
 public:
  DirectoryStore(std::shared_ptr<Disk> disk, std::string participant, const std::string& path)
      : disk_(std::move(disk)),
        errors_(std::move(participant), path),
        staging_(path + "/staging"),
        contexts_(path + "/contexts") {}

  [[nodiscard]] asio::awaitable<void> open() {
    if (lock_) co_return;
    forgetAll();
    co_await disk_->createDirectories(staging_);
    co_await disk_->createDirectories(contexts_);
    std::unique_ptr<DirectoryLock> lock = co_await disk_->lock(errors_.path());
    const std::vector<std::string> names = co_await disk_->list(staging_);
    for (const std::string& name : names) co_await takeOver(name);
    stagingChanged_ = contextsChanged_ = true;  // an earlier life may have ended before its syncs
    co_await finishAborts();
    co_await settle();
    lock_ = std::move(lock);
  }

  [[nodiscard]] asio::awaitable<void> prepare(StoredContext context) {
    requireOpen();
    const std::string name = contextFileName(context.contextId);
    const auto held = intents_.find(name);
    if (held != intents_.end() && held->second.transactionId == context.transactionId &&
        held->second.contextId == context.contextId) {
      co_await settle();
      co_return;
    }
    if (const char* cause = fence_.refusal(context.transactionId))
      throw errors_.refused(context.transactionId, cause);
    if (held != intents_.end()) throw errors_.heldByIntent(context, held->second.transactionId);
    const std::optional<StoredContext> committed = co_await readHead(contexts_ + '/' + name);
    const bool there = committed && !committed->forgets;
    if (there && committed->contextId != context.contextId)
      throw errors_.refused(context.transactionId, "another context has the same file name");
    if (there && committed->version >= context.version)
      throw errors_.staleVersion(context, committed->version);
    AbortFence fence = fence_;
    if (fence.accept(context.transactionId)) co_await replaceFence(std::move(fence));
    Bytes file = ContextFile::encode(context);
    co_await replaceInStaging(name + intentSuffix, std::move(file));
    context.payload.clear();
    intents_.emplace(name, std::move(context));
    co_await settle();
  }

  [[nodiscard]] asio::awaitable<void> commit(TransactionRef transaction) {
    requireOpen();
    const std::string name = contextFileName(transaction.contextId);
    std::string committedPath = contexts_ + '/' + name;
    const auto held = intents_.find(name);
    if (held != intents_.end() && held->second.transactionId == transaction.transactionId)
      co_await renameIntent(name, committedPath);
    const std::optional<StoredContext> head = co_await readHead(committedPath);
    const bool there = head && !head->forgets && head->contextId == transaction.contextId;
    if (there ? head->version < transaction.version : !transaction.forgets)
      throw errors_.unknownTransaction(transaction);
    co_await settle();
    if (!head || !head->forgets) co_return;
    contextsChanged_ = true;
    co_await disk_->remove(std::move(committedPath));
  }

  [[nodiscard]] asio::awaitable<void> abort(TransactionRef transaction) {
    requireOpen();
    const std::string name = contextFileName(transaction.contextId);
    const auto held = intents_.find(name);
    // First, because it frees space, and the fence needs some.
    if (held != intents_.end() && held->second.transactionId == transaction.transactionId)
      co_await removeIntent(name);
    AbortFence fence = fence_;
    if (fence.add(transaction.transactionId)) co_await replaceFence(std::move(fence));
    co_await settle();
  }

  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() {
    requireOpen();
    co_await settle();
    std::vector<StoredContext> all;
    all.reserve(intents_.size());
    for (const auto& [name, intent] : intents_) all.push_back(intent);
    co_return all;
  }

  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string contextId) {
    requireOpen();
    co_await settle();
    const std::string name = contextFileName(contextId);
    ContextCopies copies;
    copies.committed = co_await readWhole(contexts_ + '/' + name);
    if (copies.committed && (copies.committed->forgets || copies.committed->contextId != contextId))
      copies.committed.reset();
    const auto held = intents_.find(name);
    if (held != intents_.end() && held->second.contextId == contextId) {
      copies.intent = co_await readWhole(staging_ + '/' + name + intentSuffix);
      if (!copies.intent) throw errors_.corrupt(name + intentSuffix, "the file of an intent is gone");
    }
    co_return copies;
  }

  // Names that are not synced yet are synced by the next open.
  [[nodiscard]] asio::awaitable<void> close() {
    lock_.reset();
    forgetAll();
    co_return;
  }

 private:
  static constexpr const char* intentSuffix = ".intent";
  static constexpr const char* fenceName = "aborted";

  void requireOpen() const {
    if (!lock_) throw errors_.unavailable("it is not open");
  }
  void forgetAll() noexcept {
    intents_.clear();
    fence_ = {};
    stagingChanged_ = contextsChanged_ = false;
  }

  // One file that an earlier life left in staging.
  [[nodiscard]] asio::awaitable<void> takeOver(std::string name) {
    std::string path = staging_ + '/' + name;
    if (name.ends_with(".tmp")) {
      stagingChanged_ = true;
      co_await disk_->remove(std::move(path));
    } else if (name == fenceName) {
      const std::optional<StoredContext> file = co_await readWhole(path);
      if (!file || file->payloadHash != hash64(asBytes(file->payload)))
        throw errors_.corrupt(path, "its content does not match its checksum");
      try {
        fence_ = AbortFence::decode(asBytes(file->payload));
      } catch (const Error& error) {
        throw errors_.corrupt(path, error.what());
      }
    } else if (name.ends_with(intentSuffix)) {
      std::optional<StoredContext> intent = co_await readHead(path);
      const std::string stem = name.substr(0, name.size() - std::string_view(intentSuffix).size());
      if (!intent || contextFileName(intent->contextId) != stem)
        throw errors_.corrupt(path, "it holds another context than its name says");
      intents_.emplace(stem, std::move(*intent));
    }
  }
  // Aborts that a crash cut short before they removed the intent.
  [[nodiscard]] asio::awaitable<void> finishAborts() {
    std::vector<std::string> aborted;
    for (const auto& [name, intent] : intents_) {
      if (fence_.wasAborted(intent.transactionId)) aborted.push_back(name);
    }
    for (const std::string& name : aborted) co_await removeIntent(name);
  }

  [[nodiscard]] asio::awaitable<void> removeIntent(std::string name) {
    std::string path = staging_ + '/' + name + intentSuffix;
    stagingChanged_ = true;
    co_await disk_->remove(std::move(path));
    intents_.erase(name);
  }
  [[nodiscard]] asio::awaitable<void> renameIntent(std::string name, std::string target) {
    std::string path = staging_ + '/' + name + intentSuffix;
    stagingChanged_ = contextsChanged_ = true;
    try {
      co_await disk_->rename(std::move(path), std::move(target));
    } catch (const Error& error) {
      // Gone: an earlier try has done it, without learning that it had. What lies there now will tell.
      if (error.code() != JournalErrc::not_found) throw;
    }
    intents_.erase(name);
  }
  [[nodiscard]] asio::awaitable<void> replaceFence(AbortFence fence) {
    StoredContext file;
    file.contextId = fenceName;
    file.payload = asText(fence.encode());
    file.payloadHash = hash64(asBytes(file.payload));
    Bytes bytes = ContextFile::encode(file);
    std::string name = fenceName;
    co_await replaceInStaging(std::move(name), std::move(bytes));
    fence_ = std::move(fence);
  }

  // Writes a new file and gives it that name. When it fails, the name means what it meant before.
  [[nodiscard]] asio::awaitable<void> replaceInStaging(std::string name, Bytes bytes) {
    const std::string temporary = fmt::format("{}/{}.{}.tmp", staging_, name, ++temporaries_);
    std::string target = staging_ + '/' + name;
    std::exception_ptr failure;
    stagingChanged_ = true;
    try {
      const std::shared_ptr<File> file = co_await disk_->open(temporary, OpenMode::create_new);
      co_await file->write(0, std::move(bytes));
      co_await file->sync();
      co_await disk_->rename(temporary, std::move(target));
    } catch (...) {
      failure = std::current_exception();
    }
    if (!failure) co_return;
    try {
      co_await disk_->remove(temporary);
    } catch (const Error&) {
      // The next open removes it.
    }
    std::rethrow_exception(failure);
  }

  [[nodiscard]] asio::awaitable<std::optional<StoredContext>> readHead(std::string path) {
    const std::shared_ptr<File> file = co_await openIfThere(path);
    if (!file) co_return std::nullopt;
    Bytes bytes = co_await file->read(0, 4096);
    try {
      if (const std::size_t size = ContextFile::headSize(bytes); size > bytes.size())
        bytes = co_await file->read(0, size);
      co_return ContextFile::decodeHead(bytes);
    } catch (const Error& error) {
      if (error.code() != Errc::decode_failed) throw;
      throw errors_.corrupt(path, error.what());
    }
  }
  [[nodiscard]] asio::awaitable<std::optional<StoredContext>> readWhole(std::string path) {
    const std::shared_ptr<File> file = co_await openIfThere(path);
    if (!file) co_return std::nullopt;
    const std::uint64_t size = co_await file->size();
    const Bytes bytes = co_await file->read(0, static_cast<std::size_t>(size));
    try {
      co_return ContextFile::decode(bytes);
    } catch (const Error& error) {
      throw errors_.corrupt(path, error.what());
    }
  }
  [[nodiscard]] asio::awaitable<std::shared_ptr<File>> openIfThere(std::string path) {
    try {
      co_return co_await disk_->open(std::move(path), OpenMode::read);
    } catch (const Error& error) {
      if (error.code() != JournalErrc::not_found) throw;
    }
    co_return nullptr;
  }

  // Every change of a name before this is durable after it.
  [[nodiscard]] asio::awaitable<void> settle() {
    if (contextsChanged_) {
      co_await disk_->syncDirectory(contexts_);
      contextsChanged_ = false;
    }
    if (stagingChanged_) {
      co_await disk_->syncDirectory(staging_);
      stagingChanged_ = false;
    }
  }

  std::shared_ptr<Disk> disk_;
  ParticipantErrors errors_;
  std::string staging_;
  std::string contexts_;
  std::unique_ptr<DirectoryLock> lock_;           // held while it is open
  std::map<std::string, StoredContext> intents_;  // by file name, without payloads: there are few
  AbortFence fence_;
  std::uint64_t temporaries_ = 0;
  bool stagingChanged_ = false;  // since the last sync of that directory
  bool contextsChanged_ = false;
};

}  // namespace lukhas::detail
