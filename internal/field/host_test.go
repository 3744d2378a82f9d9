package field_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/field"
)

func TestTheBytesOfAHost(t *testing.T) {
	t.Parallel()
	const all = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]"
	for c := range 256 {
		assert.Equal(t, strings.IndexByte(all, byte(c)) >= 0, field.IsHostByte(byte(c)), "%q", byte(c))
	}
}
