// Package etcd keeps the store's rows in etcd: one member inside this process (Start), or a cluster elsewhere
// (Connect). Both are the same code over the same client; they differ in who is elected, and in their limits.
//
// # Keys
//
//	/berth/<kind>/<2 hex digits of a hash of the id>/<id>    one row per record
//	/berth/~fence                                            who writes; see term.go
//	/berth/~election/...                                     who should write (external only)
//
// The hash splits a large table into 256 ranges, which Load reads in parallel: a million rows in 13 s, where paging
// through them takes 78-106 s, because etcd counts the rest of the range for every page.
//
// # In process
//
// etcd is given no listeners at all: nothing but this process can reach it, over no socket of any kind. It has one
// member, so raft has nobody to wait for; a commit is one fsync of the write-ahead log. The data directory is locked,
// so this process is the only possible leader and takes the fence at once, without waiting for a lease of its
// predecessor, however that one died.
//
// # Space
//
// Old revisions are compacted every few minutes by the leader. Compaction frees pages inside the file for reuse; only
// defragmentation makes the file smaller, and stalls all writes for 3-4 s per GB. In process, the pages in use count
// against the quota, not the file, so there is no need for it: it happens only when etcd has raised its own alarm and
// accepts no write anyway. Someone else's etcd is never defragmented from here: its operators decide.
package etcd
