package call_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/call"
)

func TestIsParamAllowsNoOtherByte(t *testing.T) {
	t.Parallel()
	const allowed = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	for c := range 256 {
		name := string([]byte{byte(c)})
		assert.Equal(t, strings.Contains(allowed, name), call.IsParam(name), "%q", name)
		assert.Equal(t, strings.Contains(allowed, name), call.IsParam("a"+name), "a%q", name)
	}
	assert.True(t, call.IsParam(allowed))
	assert.False(t, call.IsParam(""))
}
