package flow_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each row is the program testdata/right.go with one mistake, and the compiler's error.
func TestAWrongGraphDoesNotCompile(t *testing.T) {
	t.Parallel()
	right, err := os.ReadFile("testdata/right.go")
	require.NoError(t, err)
	const prepare = "func(r *proxy.Request, u User) error { return nil }"
	tests := []struct {
		name     string
		old, new string
		says     string // "" means that it compiles
	}{
		{"nothing wrong", "", "", ""},
		{"prepare takes another type than the node gives", "func(r *proxy.Request, u User) error", "func(r *proxy.Request, u Order) error",
			"func(r *proxy.Request, u Order) error does not satisfy flow.Prepare[User]"},
		{"a param", prepare, `flow.Param("account", func(u User) string { return u.Account })`, ""},
		{"a function of the package", prepare, "forUser", ""},
		{"a param of another type than the node gives", prepare, `flow.Param("product", func(o Order) string { return o.Product })`,
			"flow.Parameter[Order] does not satisfy flow.Prepare[User]"},
		{"no prepare", prepare, "nil", "in call to flow.Then, cannot infer P"},
		{"the join takes its values in another order", "func(u User, o flow.Maybe[[]Order])", "func(o flow.Maybe[[]Order], u User)",
			"does not match inferred type func(User, flow.Maybe[[]Order]) (T, error)"},
		{"an optional value is used as if it were there", "o flow.Maybe[[]Order]", "o []Order",
			"does not match inferred type func(User, flow.Maybe[[]Order]) (T, error)"},
		{"a value too many", "flow.Join2(user, flow.Optional(ords),", "flow.Join2(user, user, flow.Optional(ords),",
			"too many arguments in call to flow.Join2"},
		{"a proxy in place of a typed pipe", "proxy.Decode[User](users)", "users",
			"func(r *proxy.Request, u User) error does not satisfy flow.Prepare[*proxy.Response]"},
		{"a node that depends on itself", "ords := flow.Then(\"orders\", user,", "ords := flow.Then(\"orders\", ords,",
			"undefined: ords"},
		{"a node of one type converted to another", "_ = proxy.Encode(page)", "_, _ = proxy.Encode(page), flow.Node[Order](user)",
			"cannot convert user (variable of struct type flow.Node[User]) to type flow.Node[Order]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(right), tt.old)
			file := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(right), tt.old, tt.new, 1)), 0o600))
			out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
			if tt.says == "" {
				require.NoError(t, err, "%s", out)
				return
			}
			require.Error(t, err)
			assert.Contains(t, string(out), tt.says)
		})
	}
}
