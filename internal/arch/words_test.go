package arch

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goFiles walks Berth's own Go files; generated ones are left out.
func goFiles(t *testing.T, visit func(path string, src []byte)) {
	t.Helper()
	for _, root := range []string{"cmd", "internal", "tools", "e2e"} {
		err := filepath.WalkDir(filepath.Join("../..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if !strings.Contains(string(src[:min(len(src), 200)]), "DO NOT EDIT") {
				visit(path, src)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFileNames keeps files named after concepts.
func TestFileNames(t *testing.T) {
	goFiles(t, func(path string, _ []byte) {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".go"), "_test")
		for _, word := range []string{"util", "utils", "common", "helper", "helpers", "types", "models", "manager", "misc"} {
			if name == word {
				t.Errorf("%s: name the file after the concept it holds, not %q", path, word)
			}
		}
	})
}

// maxLines is where a file asks to be split by concept; a little above the habit's 500, because tests tell long stories.
const maxLines = 700

func TestFileLengths(t *testing.T) {
	goFiles(t, func(path string, src []byte) {
		n := 0
		for s := bufio.NewScanner(strings.NewReader(string(src))); s.Scan(); {
			n++
		}
		if n > maxLines {
			t.Errorf("%s has %d lines: split it by concept", path, n)
		}
	})
}

// TestPlannersKnowNoClock: what decides gets now as an input, and neither reads a clock nor rolls dice nor logs.
func TestPlannersKnowNoClock(t *testing.T) {
	pure := []string{"internal/ecs/placement/", "internal/ecs/lifecycle/", "internal/ecs/definition/", "internal/ecs/servicesched/decide"}
	goFiles(t, func(path string, src []byte) {
		rel := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
		if strings.HasSuffix(rel, "_test.go") {
			return
		}
		isPure := false
		for _, p := range pure {
			isPure = isPure || strings.HasPrefix(rel, p)
		}
		if !isPure {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			switch imp.Path.Value {
			case `"context"`, `"log/slog"`, `"crypto/rand"`, `"os"`, `"net/http"`:
				t.Errorf("%s imports %s: a planner is a pure function", rel, imp.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since" || sel.Sel.Name == "Until") {
				t.Errorf("%s calls time.%s: a planner gets now as an input", rel, sel.Sel.Name)
			}
			return true
		})
	})
}
