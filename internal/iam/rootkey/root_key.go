// Package rootkey keeps the root user's access key in the data directory: made at the first start, readable by its owner
// only, and never written again.
package rootkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/openberth/berth/internal/iam"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// FileName is the key's file in the data directory.
const FileName = "root-access-key.json"

// Path is where the key of a data directory is kept.
func Path(dataDir string) string { return filepath.Join(dataDir, FileName) }

// file is the key as it is stored, with the names that `aws iam create-access-key` prints.
type file struct {
	AccessKeyID     string    `json:"AccessKeyId"`
	SecretAccessKey string    `json:"SecretAccessKey"`
	CreateDate      time.Time `json:"CreateDate"`
}

// Ensure reads the key, or makes it when there is none. Of several processes that start at once, one makes the key and
// the others read it.
func Ensure(dataDir string, now time.Time) (key iam.AccessKey, created bool, err error) {
	key, err = Load(dataDir)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return iam.AccessKey{}, false, fmt.Errorf("make the data directory: %w", err)
	}
	key = iam.NewAccessKey(now)
	switch err := write(dataDir, key); {
	case errors.Is(err, fs.ErrExist):
		key, err = Load(dataDir)
		return key, false, err
	case err != nil:
		return iam.AccessKey{}, false, fmt.Errorf("keep the root access key: %w", err)
	}
	return key, true, nil
}

// Load reads the key; the error is fs.ErrNotExist when no server has started with this data directory yet.
func Load(dataDir string) (iam.AccessKey, error) {
	path := Path(dataDir)
	f, err := os.Open(path)
	if err != nil {
		return iam.AccessKey{}, fmt.Errorf("root access key: %w", err)
	}
	defer f.Close()
	// Ask the open file, not the path: the answer is about what is read.
	info, err := f.Stat()
	if err != nil {
		return iam.AccessKey{}, fmt.Errorf("root access key: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() {
		return iam.AccessKey{}, fmt.Errorf("root access key: %s isn't a regular file", path)
	} else if mode.Perm()&0o077 != 0 {
		return iam.AccessKey{}, fmt.Errorf("root access key: %s is open to other users (mode %04o), who may have read it: run `chmod 600 %[1]s`, or remove it and restart to get a new key", path, mode.Perm())
	}
	var stored file
	if err := json.NewDecoder(f).Decode(&stored); err != nil {
		return iam.AccessKey{}, fmt.Errorf("root access key: %s can't be read (%w): restore it, or remove it and restart to get a new key", path, err)
	}
	key := iam.AccessKey{ID: stored.AccessKeyID, Secret: stored.SecretAccessKey, Created: stored.CreateDate}
	if !key.Valid() {
		return iam.AccessKey{}, fmt.Errorf("root access key: %s holds no access key (AccessKeyId, SecretAccessKey): restore it, or remove it and restart to get a new key", path)
	}
	return key, nil
}

// write creates the file whole or not at all, and fails with fs.ErrExist when it is there. A rename would replace a key
// that another process has just made; a link never replaces.
func write(dataDir string, key iam.AccessKey) (err error) {
	data, err := json.MarshalIndent(file{key.ID, key.Secret, key.Created}, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dataDir, ".root-access-key-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), Path(dataDir)); err != nil {
		return err
	}
	return syncDir(dataDir)
}

// syncDir makes a new name in a directory survive a power cut.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Keys is the set of this one key, for signatures to be verified against.
type Keys struct{ key sigv4.Key }

// NewKeys makes the set; principal is the root user's ARN.
func NewKeys(key iam.AccessKey, principal string) Keys {
	return Keys{sigv4.Key{Credentials: Credentials(key), Principal: principal}}
}

// AccessKey implements sigv4.Keys.
func (k Keys) AccessKey(_ context.Context, id string) (sigv4.Key, bool, error) {
	return k.key, id == k.key.AccessKeyID, nil
}

// Credentials are what a client signs with under the key.
func Credentials(key iam.AccessKey) sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
}
