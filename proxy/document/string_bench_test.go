package document_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-go/sluice/proxy/document"
)

// BenchmarkAppendString measures a string of about 2 KB, beside encoding/json.
func BenchmarkAppendString(b *testing.B) {
	for name, s := range map[string]string{
		"plain":   strings.Repeat("The quick brown fox jumps over the lazy dog. ", 45),
		"escapes": strings.Repeat("The \"quick\" brown fox\njumps over the\tlazy dog. ", 42),
		"unicode": strings.Repeat("すばやい茶色の狐 прыгает über ", 40),
	} {
		bytes, buf := []byte(s), make([]byte, 0, 2*len(s))
		run := func(kind string, f func() int) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.SetBytes(int64(len(s)))
				b.ReportAllocs()
				for b.Loop() {
					if f() == 0 {
						b.Fatal("empty")
					}
				}
			})
		}
		run("string", func() int { return len(document.AppendString(buf, s)) })
		run("bytes", func() int { return len(document.AppendString(buf, bytes)) })
		run("json.Marshal", func() int { out, _ := json.Marshal(s); return len(out) })
	}
}
