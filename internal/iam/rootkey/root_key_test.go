package rootkey

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openberth/berth/internal/iam"
	"github.com/openberth/berth/internal/wire/sigv4"
)

var now = time.Date(2026, 2, 13, 8, 30, 5, 0, time.UTC)

func TestFirstStartMakesTheKeyAndLaterOnesKeepIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before the first start: %v", err)
	}
	first, created, err := Ensure(dir, now)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	if !first.Valid() || first.Created != now {
		t.Errorf("made %+v", first)
	}
	before, err := os.ReadFile(Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{0, time.Hour} {
		again, created, err := Ensure(dir, now.Add(later))
		if err != nil || created || again != first {
			t.Errorf("second start: %+v %v %v", again, created, err)
		}
	}
	if loaded, err := Load(dir); err != nil || loaded != first {
		t.Errorf("Load: %+v %v", loaded, err)
	}
	if after, _ := os.ReadFile(Path(dir)); string(after) != string(before) {
		t.Error("the file was written again")
	}
	for path, want := range map[string]fs.FileMode{Path(dir): 0o600, dir: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestProcessesThatStartAtOnceAgree(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	keys := make([]iam.AccessKey, 16)
	made := make([]bool, len(keys))
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], made[i], err = Ensure(dir, now); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	for i := range keys {
		if keys[i] != keys[0] {
			t.Error("two keys")
		}
		if made[i] {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of them made the key", n)
	}
}

// write is what Ensure falls back on when another process is faster: it must not replace.
func TestAnExistingKeyIsNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	key, _, err := Ensure(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(dir, iam.NewAccessKey(now)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if loaded, err := Load(dir); err != nil || loaded != key {
		t.Errorf("%+v %v", loaded, err)
	}
}

func TestKeysThatCannotBeTrustedAreRefused(t *testing.T) {
	const good = `{"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"}`
	for _, c := range []struct {
		name, content string
		mode          fs.FileMode
		want          string
	}{
		{"readable by the group", good, 0o640, "mode 0640), who may have read it: run `chmod 600 "},
		{"writable by all", good, 0o602, "run `chmod 600 "},
		{"cut off", good[:20], 0o600, "remove it and restart"},
		{"empty", "", 0o600, "remove it and restart"},
		{"without a key", "{}", 0o600, "holds no access key"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(Path(dir), []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(Path(dir), c.mode); err != nil {
			t.Fatal(err)
		}
		_, created, err := Ensure(dir, now)
		if err == nil || created || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wJalr") {
			t.Errorf("%s: %v", c.name, err)
		}
		if content, _ := os.ReadFile(Path(dir)); string(content) != c.content {
			t.Errorf("%s: the file was changed", c.name)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(Path(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Ensure(dir, now); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestTheKeyVerifiesWhatItSigns(t *testing.T) {
	key := iam.NewAccessKey(now)
	keys := NewKeys(key, "arn:aws:iam::123456789012:root")
	r, err := http.NewRequest("GET", "http://127.0.0.1:4566/", nil)
	if err != nil {
		t.Fatal(err)
	}
	sigv4.Sign(r, nil, Credentials(key), "ecs", "us-east-1", now)
	accept := sigv4.Accept{Regions: []string{"us-east-1"}, Services: []string{"ecs"}}
	id, err := sigv4.NewVerifier(keys).Verify(t.Context(), r, nil, accept, now)
	if err != nil || id.Principal != "arn:aws:iam::123456789012:root" {
		t.Errorf("%+v %v", id, err)
	}
	if _, found, _ := keys.AccessKey(t.Context(), "AKIAOTHER"); found {
		t.Error("another id is found too")
	}
}
