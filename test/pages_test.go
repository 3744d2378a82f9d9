package test_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pages returns the pages of the repository by path.
func pages(t *testing.T) map[string]string {
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".md":
			text, err := os.ReadFile(path)
			found[path] = string(text)
			return err
		}
		return nil
	}))
	require.Greater(t, len(found), 5)
	return found
}

func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?ms)^```.*?^```$")
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	for page, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
			assert.NoError(t, err, page)
		}
	}
}

// Every `package.Name` and `package.type.method` in a page exists.
func TestPagesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	there, packages := map[string]bool{}, map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "examples" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			packages[file.Name.Name] = true
			for _, decl := range file.Decls {
				declared(decl, func(name string) { there[file.Name.Name+"."+name] = true })
			}
		}
		return err
	}))
	row := regexp.MustCompile(`(?m)^\|.*$`)
	name := regexp.MustCompile("`((\\w+)\\.\\w+(?:\\.\\w+)?)(?:`|\\(|\\{)")
	for page, text := range pages(t) {
		if filepath.Base(page) == "CHANGELOG.md" {
			text = row.ReplaceAllString(text, "") // its table has old names
		}
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if packages[m[2]] && !strings.HasSuffix(m[1], ".go") {
				assert.True(t, there[m[1]], "%s names %s", page, m[1])
			}
		}
	}
}

// declared passes the names in a declaration to tell: those of types, functions, constants and
// variables, and type.name for methods and fields.
func declared(decl ast.Decl, tell func(name string)) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			tell(d.Name.Name)
			return
		}
		tell(baseOf(d.Recv.List[0].Type) + "." + d.Name.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					tell(name.Name)
				}
			case *ast.TypeSpec:
				tell(s.Name.Name)
				ast.Inspect(s.Type, func(n ast.Node) bool {
					if field, ok := n.(*ast.Field); ok {
						for _, name := range field.Names {
							tell(s.Name.Name + "." + name.Name)
						}
					}
					return true
				})
			}
		}
	}
}

// baseOf returns the name of the type of a receiver.
func baseOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return baseOf(e.X)
	case *ast.IndexExpr:
		return baseOf(e.X)
	case *ast.IndexListExpr:
		return baseOf(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
