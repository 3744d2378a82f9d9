package examples_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// shop starts the program and returns where it and its operators' side are.
func shop(t *testing.T, args ...string) (public, admin string) {
	t.Helper()
	public, admin = freeAddr(t), freeAddr(t)
	out := start(t, "bff", append([]string{"-addr", public, "-admin", admin}, args...)...)
	listening(t, public, out)
	listening(t, admin, out)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "users, orders, products, recs, loyalty") },
		10*time.Second, 5*time.Millisecond, "the names to kill")
	return "http://" + public, "http://" + admin
}

func members(t *testing.T, body string) map[string]any {
	t.Helper()
	var page map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &page), body)
	return page
}

func TestProgramBFF(t *testing.T) {
	t.Parallel()
	public, admin := shop(t)
	page := do(t, "GET", public+"/home/42", "")
	assert.Equal(t, 200, page.status)
	assert.Equal(t, "true", page.header.Get("X-Completed"))
	assert.JSONEq(t, `{
		"user": {"id":"42","name":"Ada Lovelace","account":"a-7"},
		"orders": [{"id":"o-1","product":"p-1"},{"id":"o-2","product":"p-2"},{"id":"o-3","product":"p-1"}],
		"products": {"p-1":{"id":"p-1","title":"Analytical engine","price":4200},"p-2":{"id":"p-2","title":"Analytical engine","price":4200}},
		"recommendations": {"model":"stable","items":[{"id":"p-3"},{"id":"p-4"}]},
		"loyalty": {"level":"gold","points":"1815"}
	}`, page.body)
	canary := do(t, "GET", public+"/home/42", "", "X-Recommender", "next")
	assert.Equal(t, "next", members(t, canary.body)["recommendations"].(map[string]any)["model"])

	order := do(t, "GET", public+"/orders/o-1", "")
	assert.Equal(t, 200, order.status)
	assert.JSONEq(t, `{"id":"o-1","user":"42","total":12.50,
		"product":{"id":"p-1","title":"Analytical engine","price":4200},
		"customer":{"id":"42","name":"Ada Lovelace","account":"a-7"}}`, order.body)

	plan := do(t, "GET", admin+"/debug/plan", "").body
	plan = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(plan, "127.0.0.1:0")
	golden := filepath.Join("testdata", "bff.plan.golden")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(plan), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "write it with -update")
	assert.Equal(t, string(want), plan)
}

// What is missing is missing, and nothing else.
func TestProgramBFFWithoutAnOptionalUpstream(t *testing.T) {
	t.Parallel()
	for name, member := range map[string]string{"loyalty": "loyalty", "products": "products", "recs": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public, _ := shop(t, "-kill", name)
			page := do(t, "GET", public+"/home/42", "")
			assert.Equal(t, 200, page.status)
			assert.Equal(t, "false", page.header.Get("X-Completed"))
			assert.Equal(t, "no-store", page.header.Get("Cache-Control"))
			got := members(t, page.body)
			for _, m := range []string{"user", "orders", "products", "recommendations", "loyalty"} {
				assert.Equal(t, m != member, got[m] != nil, m)
			}
			if name == "recs" {
				assert.Equal(t, "bestsellers", got["recommendations"].(map[string]any)["model"])
			}
			assert.NotContains(t, page.body, "127.0.0.1")
			assert.NotContains(t, page.body, "refused")
		})
	}
}

func TestProgramBFFWithoutARequiredUpstream(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"users", "orders"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			public, _ := shop(t, "-kill", name)
			page := do(t, "GET", public+"/home/42", "")
			assert.Equal(t, 502, page.status)
			assert.Equal(t, "application/problem+json", page.header.Get("Content-Type"))
			assert.NotContains(t, page.body, "127.0.0.1")
			order := do(t, "GET", public+"/orders/o-1", "")
			if name == "orders" {
				assert.Equal(t, 502, order.status)
				return
			}
			assert.Equal(t, 200, order.status, "there the customer is optional")
			assert.Equal(t, "false", order.header.Get("X-Completed"))
			assert.Nil(t, members(t, order.body)["customer"])
		})
	}
}

func TestProgramBFFWithSlowUpstreams(t *testing.T) {
	t.Parallel()
	public, _ := shop(t, "-slow", "loyalty=30s,recs=1ms")
	page := do(t, "GET", public+"/home/42", "")
	assert.Equal(t, 200, page.status)
	assert.Equal(t, "false", page.header.Get("X-Completed"))
	assert.Nil(t, members(t, page.body)["loyalty"])

	public, _ = shop(t, "-slow", "orders=30s")
	assert.Equal(t, 504, do(t, "GET", public+"/home/42", "").status)
	assert.True(t, strings.HasPrefix(do(t, "GET", public+"/orders/o-1", "").header.Get("Content-Type"), "application/problem+json"))
}
