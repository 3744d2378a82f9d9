package test_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/sluice-go/sluice"

// mayImport lists which packages of the module a package may import, by path below the module.
var mayImport = map[string][]string{
	"":                     {},
	"internal/call":        {"internal/field", "internal/lend", "internal/mark", "internal/report", "internal/watch", "pipe"},
	"internal/field":       {},
	"internal/ids":         {},
	"internal/due":         {},
	"internal/form":        {},
	"internal/lend":        {},
	"internal/mark":        {},
	"internal/told":        {"internal/mark", "proxy", "proxy/document"},
	"internal/report":      {},
	"internal/draw":        {},
	"internal/watch":       {},
	"pipe":                 {"internal/draw", "internal/lend", "internal/mark", "internal/report", "internal/watch"},
	"pipe/bounds":          {"pipe"},
	"pipe/explain":         {"pipe"},
	"pipe/pipetest":        {"internal/mark", "pipe", "pipe/explain"},
	"proxy/document":       {},
	"proxy":                {"internal/call", "internal/field", "internal/mark", "internal/watch", "pipe", "proxy/document"},
	"proxy/flow":           {"internal/call", "internal/field", "internal/mark", "internal/watch", "pipe", "proxy"},
	"internal/keys":        {"internal/call", "pipe", "proxy"},
	"proxy/policy":         {"internal/call", "internal/field", "internal/keys", "internal/mark", "internal/watch", "pipe", "proxy", "proxy/document"},
	"proxy/policy/cache":   {"internal/call", "internal/field", "internal/form", "internal/keys", "internal/mark", "internal/watch", "pipe", "proxy", "proxy/document"},
	"proxy/proxytest":      {"internal/call", "internal/mark", "pipe", "pipe/pipetest", "proxy", "proxy/document"},
	"proxy/shape":          {"internal/call", "internal/field", "internal/mark", "pipe", "proxy", "proxy/document"},
	"backend":              {"backend/h1", "internal/call", "internal/field", "internal/lend", "internal/mark", "internal/watch", "pipe", "proxy", "proxy/document"},
	"backend/h1":           {"internal/call", "internal/field", "internal/mark"},
	"backend/balance":      {"backend", "backend/h1", "internal/call", "internal/field", "internal/mark", "pipe", "proxy"},
	"endpoint":             {"internal/call", "internal/field", "internal/ids", "internal/lend", "internal/mark", "internal/report", "internal/told", "internal/watch", "pipe", "proxy", "proxy/document"},
	"endpoint/auth":        {"endpoint", "internal/call", "internal/due", "internal/field", "internal/mark", "pipe", "proxy", "proxy/document"},
	"endpoint/check":       {"internal/field", "internal/mark", "pipe", "proxy", "proxy/document"},
	"async":                {"internal/call", "internal/field", "internal/mark", "pipe", "proxy"},
	"router":               {"endpoint", "internal/call", "internal/field", "internal/mark", "pipe", "proxy"},
	"adapter":              {"internal/field", "internal/ids"},
	"endpoint/idempotency": {"internal/call", "internal/due", "internal/field", "internal/form", "internal/keys", "internal/mark", "internal/told", "internal/watch", "pipe", "proxy", "proxy/document"},
}

// looksFromOutside lists the packages that measure or test the others: they may import everything,
// and no package imports them.
var looksFromOutside = map[string]bool{"bench": true, "bench/byhand": true, "bench/load": true, "test": true, "test/simulate": true}

// mayDepend lists the modules that a package may bring into a user's build.
var mayDepend = map[string][]string{
	"router":               {"github.com/go-chi/chi/v5"},
	"adapter":              {"github.com/rs/cors"},                                         // decides about a preflight, and brings nothing else
	"proxy/policy":         {"github.com/sony/gobreaker/v2", "golang.org/x/time/rate"},     // one package each, for limiters and breakers
	"proxy/policy/cache":   {"github.com/dunglas/httpsfv", "github.com/maypok86/otter/v2"}, // the memory, and fields for one cache
	"endpoint/idempotency": {"github.com/dunglas/httpsfv"},                                 // the Idempotency-Key is a structured field
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func list(t *testing.T, args ...string) []listed {
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	require.NoError(t, err)
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs
		} else {
			require.NoError(t, err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if looksFromOutside[path] {
			continue
		}
		allowed, known := mayImport[path]
		if !assert.True(t, known, "package %s is not in the list of imports", p.ImportPath) {
			continue
		}
		for _, imported := range p.Imports {
			if below, ours := strings.CutPrefix(imported, module+"/"); ours {
				assert.Contains(t, allowed, below, "%s imports %s", path, below)
			}
		}
	}
}

func TestDependenciesOfEachPackage(t *testing.T) {
	t.Parallel()
	standard := map[string]bool{}
	for _, p := range list(t, "-deps", "./...") {
		standard[p.ImportPath] = p.Standard
	}
	for _, p := range list(t, "./...") {
		path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if looksFromOutside[path] {
			continue
		}
		for _, dep := range p.Deps {
			if standard[dep] || strings.HasPrefix(dep, module) {
				continue
			}
			allowed := false
			for _, m := range mayDepend[path] {
				allowed = allowed || dep == m || strings.HasPrefix(dep, m+"/")
			}
			assert.True(t, allowed, "%s brings %s into a build", path, dep)
		}
	}
}

func TestNestedModulesImportNothingInternalButTheMark(t *testing.T) {
	t.Parallel()
	work, err := os.ReadFile("../go.work")
	require.NoError(t, err)
	dirs := regexp.MustCompile(`(?m)^\s+\./(\S+)$`).FindAllStringSubmatch(string(work), -1)
	require.GreaterOrEqual(t, len(dirs), 4)
	for _, m := range dirs {
		dir := m[1]
		if dir == "examples" || dir == "bench/peers" {
			continue // programs and benchmarks: no package at their root imports anything
		}
		cmd := exec.Command("go", "list", "-json=ImportPath,Imports", ".")
		cmd.Dir = filepath.Join("..", dir)
		out, err := cmd.Output()
		require.NoError(t, err)
		var p listed
		require.NoError(t, json.Unmarshal(out, &p))
		require.NotEmpty(t, p.Imports)
		for _, imported := range p.Imports {
			if below, internal := strings.CutPrefix(imported, module+"/internal/"); internal {
				assert.Equal(t, "mark", below, "of %s", p.ImportPath)
			}
		}
	}
}
