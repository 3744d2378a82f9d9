package pipe_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/pipe"
)

func echo(_ context.Context, s string) (string, error) { return s, nil }

// proves T30
func TestAPlanLendsIfNobodyKeepsAResponse(t *testing.T) {
	t.Parallel()
	held := pipe.Describe(echo, pipe.Step{Mark: mark.Borrows(), Kind: "slot", Source: "a.go:1"},
		pipe.Held(func() pipe.Pipe[string, string] {
			return pipe.Describe(echo, pipe.Step{Mark: mark.Borrows(), Kind: "inner"})
		}))
	of := func(m mark.Mark, effects pipe.Effects) pipe.Pipe[string, string] {
		return pipe.Describe(echo, pipe.Step{Mark: m, Kind: "step", Name: "one", Source: "a.go:1", Effects: effects})
	}
	none, ours, read := mark.Mark{}, mark.Ours(), mark.Borrows()
	const code = "step one (a.go:1) is code that may keep responses, unless it says Borrows"
	tests := []struct {
		name string
		pipe pipe.Pipe[string, string]
		want string
	}{
		{"code", of(none, pipe.Terminal), code},
		{"opaque code", of(none, pipe.Opaque), code},
		{"code that borrows", of(none, pipe.Borrows), ""},
		{"opaque code that borrows", of(none, pipe.Borrows|pipe.Opaque), ""},
		{"code that keeps", of(none, pipe.Borrows|pipe.Keeps), "step one (a.go:1) keeps responses"},
		{"ours", of(ours, pipe.Terminal), "step one (a.go:1) keeps responses"},
		{"ours that was read", of(read, pipe.Terminal), ""},
		{"ours that runs code", of(read, pipe.Opaque), code},
		{"ours that answers again", of(read, pipe.Caches), "step one (a.go:1) keeps responses"},
		{"ours that does not wait", of(read, pipe.Detached), "step one (a.go:1) calls what goes on after the answer"},
		{"ours with an effect of tomorrow", of(read, 1<<31), "step one (a.go:1) has an effect that is not known: "},
		{"ours whose inner pipe may be replaced", held, "slot (a.go:1) calls what may be replaced"},
		{"inside a step that lends", pipe.Describe(echo, pipe.Step{Mark: read, Kind: "outer"}, of(none, 0)), code},
		{"a plain function", func(_ context.Context, s string) (string, error) { return s, nil }, "is code that may keep responses"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := pipe.PlanOf(tt.pipe).Lends()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestAPlanSaysWhoKeepsResponses(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(pipe.Describe(echo, pipe.Step{Kind: "own", Effects: pipe.Keeps | pipe.Borrows}))
	assert.Contains(t, plan.Verbose(), "[custom,keeps,borrows]")
	text, err := json.Marshal(plan)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"effects":["custom","keeps","borrows"]`)
}
