package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
)

// maxSigningKeys bounds the cache. A key lives for one day, region and service, so a server with a few hundred access
// keys stays below it; past it the cache starts afresh, which costs four HMACs (about 2 µs) a request.
const maxSigningKeys = 4096

// derivation is all that a signing key depends on. The secret is among it so that a key that is replaced under the same id
// can't be answered for from the cache.
type derivation struct {
	accessKeyID, secret, date, region, service string
}

func (d derivation) derive() []byte {
	k := sum([]byte("AWS4"+d.secret), d.date)
	k = sum(k, d.region)
	k = sum(k, d.service)
	return sum(k, terminator)
}

func sum(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signingKeys caches derived keys. Only keys that a signature has verified under are put in, so that strangers can't
// push others' out.
type signingKeys struct {
	mu sync.RWMutex
	m  map[derivation][]byte
}

func (c *signingKeys) get(d derivation) []byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.m[d]
}

func (c *signingKeys) put(d derivation, key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxSigningKeys {
		c.m = make(map[derivation][]byte)
	}
	c.m[d] = key
}
