// Apigen generates Berth's wire types from AWS's API models. Run it from the repository's root:
//
//	go run ./tools/apigen          # write the generated packages
//	go run ./tools/apigen -check   # say which files are out of date, and fail when there are any
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/openberth/berth/tools/apigen/gen"
	"github.com/openberth/berth/tools/apigen/model"
)

func main() {
	check := flag.Bool("check", false, "only say which files are out of date")
	root := flag.String("root", ".", "the repository's root")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "apigen:", err)
		os.Exit(1)
	}
}

// services are the APIs that have a model under api/models; id is also the key in patches.json.
var services = []struct{ id, pkg string }{
	{"ecs", "ecsapi"},
}

// files returns everything that apigen writes, by path under root.
func files(root string) (map[string][]byte, error) {
	data, err := os.ReadFile(filepath.Join(root, "api/models/patches.json"))
	if err != nil {
		return nil, err
	}
	patches, err := model.ParsePatches(data)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, s := range services {
		data, err := os.ReadFile(filepath.Join(root, "api/models", s.id+".json"))
		if err != nil {
			return nil, err
		}
		m, err := model.Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.id, err)
		}
		p := patches[s.id]
		if p == nil {
			p = &model.Patches{}
		}
		if err := p.Apply(m); err != nil {
			return nil, fmt.Errorf("%s: %w", s.id, err)
		}
		generated, err := gen.Generate(gen.Config{Package: s.pkg, ID: s.id, Model: m, Patches: p})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.id, err)
		}
		for name, src := range generated {
			out[filepath.Join("api", s.pkg, name)] = src
		}
	}
	if err := vectors(root, out); err != nil {
		return nil, err
	}
	return out, nil
}

// vectors adds the types that AWS's protocol test vectors are about; only tests import them.
func vectors(root string, out map[string][]byte) error {
	data, err := os.ReadFile(filepath.Join(root, "internal/wire/testdata/input-json.json"))
	if err != nil {
		return err
	}
	m, err := model.ParseVectors(data)
	if err != nil {
		return fmt.Errorf("vectors: %w", err)
	}
	m.Metadata.ServiceFullName = "Protocol tests"
	generated, err := gen.Generate(gen.Config{Package: "protocoltest", ID: "protocoltest", Model: m})
	if err != nil {
		return fmt.Errorf("vectors: %w", err)
	}
	delete(generated, "all_test.go") // TestVectors has a table of its own
	for name, src := range generated {
		out[filepath.Join("internal/wire/protocoltest", name)] = src
	}
	return nil
}

func run(root string, check bool) error {
	want, err := files(root)
	if err != nil {
		return err
	}
	stale, err := outdated(root, want)
	if err != nil {
		return err
	}
	for _, path := range stale {
		full := filepath.Join(root, path)
		src, wanted := want[path]
		switch {
		case check:
			fmt.Println(path, "is out of date")
		case !wanted:
			err = os.Remove(full)
		default:
			if err = os.MkdirAll(filepath.Dir(full), 0o755); err == nil {
				err = os.WriteFile(full, src, 0o644)
			}
		}
		if err != nil {
			return err
		}
	}
	if check && len(stale) > 0 {
		return fmt.Errorf("%d files are out of date: run go run ./tools/apigen", len(stale))
	}
	return nil
}

// outdated lists the files that differ from what they should be, and generated files beside them that nothing generates
// any more.
func outdated(root string, want map[string][]byte) ([]string, error) {
	var stale []string
	dirs := map[string]bool{}
	for _, path := range model.Names(want) {
		dirs[filepath.Dir(path)] = true
		if have, err := os.ReadFile(filepath.Join(root, path)); err != nil || !bytes.Equal(have, want[path]) {
			stale = append(stale, path)
		}
	}
	for _, dir := range model.Names(dirs) {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if _, wanted := want[path]; wanted || filepath.Ext(path) != ".go" {
				continue
			}
			have, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				return nil, err
			}
			if bytes.HasPrefix(have, []byte(gen.Header)) {
				stale = append(stale, path)
			}
		}
	}
	return stale, nil
}
