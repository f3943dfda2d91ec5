// Package iam holds who may call Berth: for now the access keys of the account's root user.
package iam

import (
	"crypto/rand"
	"regexp"
	"time"
)

// AccessKey is a long-term key pair.
type AccessKey struct {
	ID      string // "AKIA" and 16 characters
	Secret  string // 40 characters
	Created time.Time
}

const (
	idPrefix  = "AKIA" // a long-term key; temporary ones start with ASIA
	idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	// secretLetters leave out the '/' and '+' of AWS's secrets: scripts that don't quote them break. 62^40 is still 2^238.
	secretLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// NewAccessKey makes a random key.
func NewAccessKey(now time.Time) AccessKey {
	return AccessKey{ID: idPrefix + random(16, idLetters), Secret: random(40, secretLetters), Created: now.UTC()}
}

// random draws n letters, each as likely as the others.
func random(n int, letters string) string {
	out := make([]byte, 0, n)
	var b [64]byte
	for {
		rand.Read(b[:]) // never fails since Go 1.24: the runtime aborts instead
		for _, c := range b {
			// Bytes past the last whole multiple of len(letters) are thrown away, or the first letters would come more often.
			if int(c) >= 256/len(letters)*len(letters) {
				continue
			}
			if out = append(out, letters[int(c)%len(letters)]); len(out) == n {
				return string(out)
			}
		}
	}
}

var (
	// AWS's own bounds for an AccessKeyId are 16 to 128 word characters; keys that somebody brings along may have them.
	validID     = regexp.MustCompile(`\A\w{16,128}\z`)
	validSecret = regexp.MustCompile(`\A[!-~]{16,256}\z`)
)

// Valid tells whether k can be a key at all.
func (k AccessKey) Valid() bool {
	return validID.MatchString(k.ID) && validSecret.MatchString(k.Secret)
}
