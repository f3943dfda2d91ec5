package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/openberth/berth/"

// floors know nothing of ECS, and import only each other.
var floors = []string{"internal/arn", "internal/fault", "internal/wire", "internal/store", "internal/reconcile", "internal/observe", "internal/config"}

// rules say which of Berth's own packages the packages under a path may import; the first rule that fits a package holds.
// A package that no rule fits fails the test: a new room needs a line here, and so a thought.
var rules = []struct {
	pkg string   // a package, or "path/..." for all below
	may []string // packages or "path/..."; a package may always import those below itself
	why string
}{
	{"cmd/berth", []string{"internal/cli"}, "main only turns signals into a context"},
	{"api/...", []string{"internal/wire/..."}, "wire types have no logic"},
	{"tools/...", []string{"tools/...", "api/...", "internal/wire/...", "internal/ecs/operations", "internal/fault"}, "generators"},

	{"internal/arn", nil, "a floor"},
	{"internal/fault", nil, "a floor"},
	{"internal/wire/...", []string{"internal/fault", "internal/arn", "internal/wire/..."}, "a floor"},
	{"internal/store/...", []string{"internal/fault", "internal/arn", "internal/store/..."}, "a floor"},
	{"internal/reconcile", []string{"internal/store", "internal/fault"}, "a floor"},
	{"internal/config", []string{"internal/arn"}, "a floor"},
	{"internal/observe", []string{"internal/config"}, "a floor"},

	{"internal/ecs", []string{"internal/arn", "internal/fault"}, "a domain root: records and pure rules, no store, no wire"},
	{"internal/ecs/state", []string{"internal/ecs", "internal/store"}, "how the records lie in the store"},
	{"internal/ecs/definition", []string{"internal/ecs", "internal/arn", "internal/fault"}, "pure rules"},
	{"internal/ecs/placement", []string{"internal/ecs", "internal/fault"}, "pure rules"},
	{"internal/ecs/lifecycle", []string{"internal/ecs", "internal/arn"}, "pure rules"},
	{"internal/ecs/servicesched", []string{"internal/ecs/...", "internal/store", "internal/reconcile", "internal/arn", "internal/fault"}, "a controller: no wire, no API"},
	{"internal/ecs/retention", []string{"internal/ecs/...", "internal/store", "internal/reconcile"}, "a controller: no wire, no API"},
	{"internal/ecs/operations", []string{"api/ecsapi", "internal/ecs/...", "internal/store/...", "internal/wire/...", "internal/arn", "internal/fault"}, "handlers: no HTTP"},

	{"internal/iam/...", []string{"internal/iam/...", "internal/fault", "internal/arn", "internal/wire/sigv4"}, "a domain"},
	{"internal/agentlink", nil, "message types, shared by both ends"},
	{"internal/agentlink/control", []string{"internal/agentlink", "internal/ecs/...", "internal/store/...", "internal/arn", "internal/fault", "internal/wire/..."}, "the server end"},
	{"internal/agent/runtime/...", []string{"internal/agent/runtime/..."}, "runs containers; knows no store, no domain, no protocol"},
	{"internal/agent/...", []string{"internal/agent/...", "internal/agentlink", "internal/wire/...", "internal/fault", "internal/arn", "api/ecsapi", "internal/client"}, "the node: it knows the control plane by its public protocol only"},

	{"internal/gateway", []string{"internal/wire/...", "internal/fault", "internal/arn", "internal/iam/...", "api/...", "internal/observe"}, "the front door"},
	{"internal/client", []string{"internal/wire/...", "internal/fault"}, "an API client"},
	{"internal/demo", []string{"api/ecsapi", "internal/client"}, "the sample, a client like any other"},
	{"internal/arch", nil, "policies"},
	{"internal/server", []string{"internal/...", "api/..."}, "the composition root"},
	{"internal/testkit/...", []string{"internal/...", "api/..."}, "a whole cluster in process"},
	{"internal/cli", []string{"internal/...", "api/..."}, "a shell"},
}

// forbidden are outside packages that some rooms must not use.
var forbidden = []struct{ pkg, imports, why string }{
	{"internal/ecs", "net", "a domain root touches no network"},
	{"internal/ecs", "os", "a domain root touches no files"},
	{"internal/ecs/definition", "time", "pure"},
	{"internal/ecs/operations", "net/http", "a handler sees no HTTP"},
	{"internal/agent", "go.etcd.io/etcd", "the agent has no etcd"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
	Doc        string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles,Doc", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// under tells whether pkg is meant by pattern: the package itself, or for "path/..." all at and below path.
func under(pkg, pattern string) bool {
	root, tree := strings.CutSuffix(pattern, "/...")
	return pkg == root || tree && strings.HasPrefix(pkg, root+"/")
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		found := false
		for _, r := range rules {
			if !under(pkg, r.pkg) {
				continue
			}
			found = true
			for _, imp := range p.Imports {
				own, ok := strings.CutPrefix(imp, module)
				if !ok || strings.HasPrefix(own, pkg+"/") {
					continue
				}
				allowed := false
				for _, m := range r.may {
					allowed = allowed || under(own, m)
				}
				if !allowed {
					t.Errorf("%s imports %s, which it may not (%s): go through an interface that %s declares, or change the rule in internal/arch and say why in docs/adr", pkg, own, r.why, pkg)
				}
			}
			break
		}
		if !found {
			t.Errorf("no import rule fits %s: add one to internal/arch/imports_test.go", pkg)
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	for _, p := range packages(t) {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		for _, f := range forbidden {
			if pkg != f.pkg && !strings.HasPrefix(pkg, f.pkg+"/") || f.pkg == "internal/ecs" && pkg != f.pkg {
				continue
			}
			for _, imp := range p.Imports {
				if imp == f.imports || f.imports != "time" && strings.HasPrefix(imp, f.imports+"/") {
					t.Errorf("%s imports %s: %s", pkg, imp, f.why)
				}
			}
		}
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment: say in a sentence what it is for", strings.TrimPrefix(p.ImportPath, module))
		}
	}
}

// TestFloorsAreListed keeps the prose above true.
func TestFloorsAreListed(t *testing.T) {
	for _, f := range floors {
		ok := false
		for _, r := range rules {
			ok = ok || under(f, r.pkg) && r.why == "a floor"
		}
		if !ok {
			t.Errorf("the floor %s has no rule", f)
		}
	}
}
