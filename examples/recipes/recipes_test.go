package recipes_test

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const recipesFile = "../../docs/recipes.md"

var update = flag.Bool("update", false, "write the code of the examples into docs/recipes.md")

// block is a marker in the page with the code below it.
var block = regexp.MustCompile("(?s)<!-- recipe: (\\w+) -->\n```go\n(.*?)```\n")

func TestPageShowsTheRecipes(t *testing.T) {
	code := recipes(t)
	text, err := os.ReadFile(recipesFile)
	require.NoError(t, err)
	if *update {
		text = block.ReplaceAllFunc(text, func(b []byte) []byte {
			name := string(block.FindSubmatch(b)[1])
			if code[name] == "" {
				return b // reported below
			}
			return []byte("<!-- recipe: " + name + " -->\n```go\n" + code[name] + "```\n")
		})
		require.NoError(t, os.WriteFile(recipesFile, text, 0o644))
	}
	shown := map[string]bool{}
	for _, m := range block.FindAllSubmatch(text, -1) {
		name := string(m[1])
		assert.False(t, shown[name], "%s is in the page twice", name)
		shown[name] = true
		if tested, ok := code[name]; assert.True(t, ok, "%s is in the page, and no test runs it", name) {
			assert.Equal(t, tested, string(m[2]), "the page shows other code for %s than what is tested: run with -update", name)
		}
	}
	for name := range code {
		assert.True(t, shown[name], "%s is not in the page", name)
	}
	assert.Equal(t, strings.Count(string(text), "```go"), len(shown), "code in the page has no marker")
}

// recipes returns the code of all recipes of this package by name: the bodies of the examples
// Example_name, and the lines between "// recipe: name" and "// end".
func recipes(t *testing.T) map[string]string {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	code := map[string]string{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := strings.SplitAfter(string(source), "\n")
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if name, ok := strings.CutPrefix(fn.Name.Name, "Example_"); ok {
				from, to := fset.Position(fn.Body.Lbrace).Line, fset.Position(fn.Body.Rbrace).Line-1
				code[name] = dedent(lines[from:to])
			}
		}
		for i, line := range lines {
			if name, ok := strings.CutPrefix(line, "// recipe: "); ok {
				end := slices.Index(lines[i:], "// end\n")
				require.Positive(t, end, "%s has no end", strings.TrimSpace(name))
				code[strings.TrimSpace(name)] = strings.TrimRight(dedent(lines[i+1:i+end]), "\n") + "\n"
			}
		}
	}
	return code
}

// dedent joins lines without the tabs that all of them begin with.
func dedent(lines []string) string {
	tabs := ""
	for all := true; all; {
		tabs += "\t"
		for _, line := range lines {
			all = all && (line == "\n" || strings.HasPrefix(line, tabs))
		}
	}
	tabs = tabs[1:]
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimPrefix(line, tabs))
	}
	return b.String()
}
