package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/openberth/berth/tools/apigen/gen"
)

// TestUpToDate: what is checked in is what the models, the patches and the generator make.
func TestUpToDate(t *testing.T) {
	want, err := files("../..")
	if err != nil {
		t.Fatal(err)
	}
	stale, err := outdated("../..", want)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stale {
		t.Errorf("%s is out of date: run go run ./tools/apigen", path)
	}
}

// TestDeterministic: generating twice gives the same bytes, or TestUpToDate would fail at random.
func TestDeterministic(t *testing.T) {
	a, err := files("../..")
	if err != nil {
		t.Fatal(err)
	}
	b, err := files("../..")
	if err != nil {
		t.Fatal(err)
	}
	for path := range a {
		if string(a[path]) != string(b[path]) {
			t.Errorf("%s differs from run to run", path)
		}
	}
}

func TestOutdated(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("api/same.go", gen.Header+"1")
	write("api/changed.go", gen.Header+"edited")
	write("api/orphan.go", gen.Header+"what a shape was called before")
	write("api/doc.go", "// written by hand\n")
	write("api/testdata.json", gen.Header)
	got, err := outdated(root, map[string][]byte{
		"api/same.go": []byte(gen.Header + "1"), "api/changed.go": []byte(gen.Header + "2"), "api/missing.go": []byte(gen.Header)})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"api/changed.go", "api/missing.go", "api/orphan.go"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
