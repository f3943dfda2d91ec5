package etcd

import (
	"fmt"
	"hash/fnv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// keys makes the keys below one prefix, such as "/berth/".
type keys struct{ prefix string }

// '~' sorts after every kind, so the records are one range, and can't be confused with what is not a record.
func (k keys) fence() string      { return k.prefix + "~fence" }
func (k keys) election() string   { return k.prefix + "~election" }
func (k keys) recordsEnd() string { return k.prefix + "~" }

func (k keys) row(kind, id string) string {
	return k.prefix + kind + "/" + bucket(id) + "/" + id
}

// parse is the inverse of row.
func (k keys) parse(key []byte) (kind, id string, ok bool) {
	rest, ok := strings.CutPrefix(string(key), k.prefix)
	if !ok || strings.HasPrefix(rest, "~") {
		return "", "", false
	}
	kind, rest, ok = strings.Cut(rest, "/")
	if !ok || len(rest) < 4 || rest[2] != '/' {
		return "", "", false
	}
	return kind, rest[3:], true
}

// buckets is the number of ranges that a kind is split into.
const buckets = 256

func bucket(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return fmt.Sprintf("%02x", h.Sum32()%buckets)
}

// keyRange is the keys from first to before end.
type keyRange struct{ first, end string }

func (k keys) kind(kind string) keyRange {
	first := k.prefix + kind + "/"
	return keyRange{first, clientv3.GetPrefixRangeEnd(first)}
}

func (k keys) bucket(kind string, n int) keyRange {
	first := fmt.Sprintf("%s%s/%02x/", k.prefix, kind, n)
	return keyRange{first, clientv3.GetPrefixRangeEnd(first)}
}
