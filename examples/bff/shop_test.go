package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/pipe"
)

var update = flag.Bool("update", false, "write the graph into its page")

const (
	readme    = "../../README.md"
	graphPage = "../../docs/graph.md"
)

// newTestShop returns a shop whose upstreams do not run: a plan calls nothing.
func newTestShop(t *testing.T) *shop {
	t.Helper()
	urls := map[string]string{}
	for _, name := range names {
		urls[name] = "http://" + name
	}
	s, err := newShop(backend.HTTP{}, urls)
	require.NoError(t, err)
	return s
}

func TestThePageShowsTheGraphOfTheHomePage(t *testing.T) {
	t.Parallel()
	graph := pipe.PlanOf(newTestShop(t).home).Find("flow")[0].Mermaid()
	text, err := os.ReadFile(graphPage)
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)(<!-- graph -->\n```mermaid\n)(.*?)(```)")
	if *update {
		text = block.ReplaceAll(text, []byte("${1}"+graph+"${3}"))
		require.NoError(t, os.WriteFile(graphPage, text, 0o644))
	}
	found := block.FindSubmatch(text)
	require.NotNil(t, found)
	assert.Equal(t, graph, string(found[2]), "write it with -update")
}

func TestTheReadmeShowsTheCodeOfTheHomePage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	source, err := os.ReadFile("shop.go")
	require.NoError(t, err)
	calls := regexp.MustCompile(`(?m)^\t(\w := flow\..*|return proxy.Encode\(flow.*)$`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, calls, 6)
	for _, call := range calls {
		line := call[1]
		if result, ok := strings.CutPrefix(line, "return "); ok {
			line = "page := " + result
		}
		assert.True(t, strings.Contains(string(text), "\n"+line+"\n"), line)
	}
}

func TestTheHomePageAsksInTheOrderOfItsGraph(t *testing.T) {
	t.Parallel()
	plan := pipe.PlanOf(newTestShop(t).home)
	for _, pair := range [][2]string{{"user", "then orders"}, {"then orders", "each products"}, {"user", "then loyalty"}} {
		assert.NoError(t, plan.Before(pair[0], pair[1]), "%s before %s", pair[0], pair[1])
	}
	err := plan.Before("then orders", "then loyalty")
	assert.ErrorIs(t, err, pipe.ErrUnordered)
}
