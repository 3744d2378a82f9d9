// Package yaml decodes the answers of upstreams that speak YAML.
//
//	p, err := backend.New(backend.Spec{
//		Name: "config", URL: "http://config:8080/{id}", Decode: yaml.Decoder{},
//	})
//
// For upstreams that also speak another format, use backend.Auto:
//
//	Decode: backend.Auto(map[string]backend.Decoder{"application/yaml": yaml.Decoder{}})
//
// # How values are mapped
//
//	null, ~, nothing     null
//	true, false          true, false; yes, no, on and off are strings
//	integers, floats     the number, digit for digit where JSON has it; .inf and .nan are errors
//	strings              strings
//	timestamps           strings, as written
//	!!binary             strings: the base64 as written, without white space
//	sequences, mappings  arrays, objects, in the order of the source
//	other tags           an error
//
// The key of a mapping is a scalar and becomes the string of its text. A sequence or mapping as a
// key, a duplicate key and a merge key (<<) are errors. The body is one document; a second one is
// an error. A body that contains only comments is an absent document. Comments are left out.
//
// # Limits
//
//	depth    512
//	values   100,000, by an estimate; see Decoder
//	aliases  the JSON is at most ten times as long as the body, however often aliases repeat
//	         their anchors
package yaml

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-go/sluice/internal/mark"
	"github.com/sluice-go/sluice/proxy/document"
	"go.yaml.in/yaml/v3"
)

const (
	maxDepth      = 10_000 // the depth that the parser can handle too
	defaultValues = 100_000
	maxGrowth     = 10
)

// A Decoder is a backend.Decoder. It is safe for concurrent use.
type Decoder struct {
	// Depth is how deep sequences and mappings may be nested. 0 means 512; a negative value means
	// the maximum, 10,000.
	Depth int

	// Values bounds the number of values in the body, including keys, before the body is parsed:
	// the parser takes up to 450 bytes for each, however short it is. The number is estimated by
	// the characters that may separate values (line breaks and , : [ { ? -), even where they are
	// part of a text. A body with more is refused with ErrValues. So decoding allocates at most 16
	// times the body and 450 bytes for each of that many values. 0 means 100,000, negative no
	// limit.
	Values int
}

// ErrValues is why a body is refused that has too many values; see Decoder.
var ErrValues = errors.New("too many values")

// String returns "yaml".
func (d Decoder) String() string { return "yaml" }

// Mark says that the decoder is part of sluice, so that a call needs no goroutine to guard against
// it.
func (Decoder) Mark() mark.Type { return mark.TypeOf[Decoder]() }

var (
	errSyntax   = errors.New("not YAML")
	errMany     = errors.New("more than one document")
	errGrowth   = errors.New("aliases repeat too much")
	errKey      = errors.New("a key that is not a scalar")
	errTwice    = errors.New("a duplicate key")
	errMerge    = errors.New("a merge key")
	errTag      = errors.New("a tag other than those of null, bool, int, float, str, timestamp, binary, seq and map")
	errValue    = errors.New("a value that does not fit its tag")
	errNumber   = errors.New("a number that JSON does not have")
	errEncoding = errors.New("a string is not UTF-8")
)

// Decode returns the document that body contains. It ignores the content type.
func (d Decoder) Decode(contentType string, body []byte) (document.Document, error) {
	return d.DecodeContext(context.Background(), contentType, body)
}

// DecodeContext is Decode with a context; see backend.ContextDecoder.
func (d Decoder) DecodeContext(ctx context.Context, _ string, body []byte) (document.Document, error) {
	if d.Values >= 0 {
		most := d.Values
		if most == 0 {
			most = defaultValues
		}
		if separators(body) > most {
			return document.Document{}, fmt.Errorf("yaml: %w", ErrValues)
		}
	}
	limit := d.Depth
	switch {
	case limit == 0:
		limit = document.DefaultDepth
	case limit < 0 || limit > maxDepth:
		limit = maxDepth
	}
	root, err := parse(ctx, body)
	if err != nil || root == nil {
		return document.Document{}, err
	}
	w := writer{ctx: ctx, out: make([]byte, 0, len(body)+len(body)/4), most: maxGrowth * len(body), limit: limit}
	err = w.value(root, 0)
	if err == nil && len(w.out) > w.most {
		err = errGrowth
	}
	if err != nil {
		return document.Document{}, fmt.Errorf("yaml: line %d: %w", w.line, err)
	}
	return document.Work{Context: ctx, Limits: document.Limits{Depth: limit}}.Parse(w.out)
}

// separators counts the characters that may stand between values.
func separators(body []byte) (n int) {
	for _, c := range body {
		switch c {
		case '\n', '\r', ',', ':', '[', '{', '?', '-':
			n++
		}
	}
	return n
}

// parse returns the value of the only document, or nil if there is none. It replaces errors of the
// library, whose text quotes the body.
func parse(ctx context.Context, body []byte) (*yaml.Node, error) {
	var first, second yaml.Node
	parser := yaml.NewDecoder(&clocked{ctx, bytes.NewReader(body)})
	switch err := parser.Decode(&first); {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("yaml: %w", ctx.Err())
	case err == io.EOF:
		return nil, nil
	case err != nil || len(first.Content) != 1:
		return nil, fmt.Errorf("yaml: %w", errSyntax)
	}
	switch err := parser.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("yaml: line %d: %w", second.Line, errMany)
	case err != io.EOF:
		return nil, fmt.Errorf("yaml: %w", errSyntax)
	}
	return first.Content[0], nil
}

// A clocked reader fails once its context is done. The library reads a few hundred bytes at a time,
// as it parses.
type clocked struct {
	ctx  context.Context
	body *bytes.Reader
}

func (c *clocked) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.body.Read(p)
}

// A writer writes nodes as JSON.
type writer struct {
	ctx   context.Context
	steps int
	out   []byte
	most  int // the length that out may reach
	limit int // the maximum depth
	line  int // the line of the node being written
}

func (w *writer) value(n *yaml.Node, depth int) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias // never another alias; an alias inside its own anchor runs into the limits
	}
	w.line = n.Line
	if w.steps++; w.steps%1024 == 0 && w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if len(w.out) > w.most {
		return errGrowth
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return w.scalar(n)
	case yaml.SequenceNode:
		return w.sequence(n, depth+1)
	case yaml.MappingNode:
		return w.mapping(n, depth+1)
	}
	return errSyntax
}

func (w *writer) sequence(n *yaml.Node, depth int) error {
	switch {
	case n.ShortTag() != "!!seq":
		return errTag
	case depth > w.limit:
		return document.ErrDepth
	}
	w.out = append(w.out, '[')
	for i, element := range n.Content {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(element, depth); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *writer) mapping(n *yaml.Node, depth int) error {
	switch {
	case n.ShortTag() != "!!map":
		return errTag
	case depth > w.limit:
		return document.ErrDepth
	}
	seen := make(map[string]bool, len(n.Content)/2)
	w.out = append(w.out, '{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		name, err := w.key(n.Content[i])
		switch {
		case err != nil:
			return err
		case seen[name]:
			return errTwice
		}
		seen[name] = true
		w.out = append(w.out, ':')
		if err := w.value(n.Content[i+1], depth); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *writer) key(n *yaml.Node) (string, error) {
	w.line = n.Line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", errKey
	case n.ShortTag() == "!!merge":
		return "", errMerge
	}
	return n.Value, w.text(n.Value)
}

func (w *writer) scalar(n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!null":
		w.out = append(w.out, "null"...)
	case "!!bool":
		switch {
		case strings.EqualFold(n.Value, "true"):
			w.out = append(w.out, "true"...)
		case strings.EqualFold(n.Value, "false"):
			w.out = append(w.out, "false"...)
		default:
			return errValue
		}
	case "!!int", "!!float":
		return w.number(n)
	case "!!binary":
		return w.text(strings.Join(strings.Fields(n.Value), ""))
	case "!!str", "!!timestamp":
		return w.text(n.Value)
	case "!!merge": // << is a merge only as a key
		return w.text(n.Value)
	default:
		return errTag
	}
	return nil
}

// number writes a number unchanged if JSON has that form too. The library parses the forms that
// only YAML has: 0x1f, 0o17, 1_000, +1.
func (w *writer) number(n *yaml.Node) error {
	if isNumber(n.Value) {
		w.out = append(w.out, n.Value...)
		return nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return errValue
	}
	switch v := v.(type) {
	case int:
		w.out = strconv.AppendInt(w.out, int64(v), 10)
	case int64:
		w.out = strconv.AppendInt(w.out, v, 10)
	case uint64:
		w.out = strconv.AppendUint(w.out, v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errNumber
		}
		format := byte('f')
		if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e21) { // as encoding/json does
			format = 'e'
		}
		w.out = strconv.AppendFloat(w.out, v, format, -1, 64)
	default:
		return errValue
	}
	return nil
}

// isNumber reports whether s is a JSON number.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	s = s[whole:]
	if rest, point := strings.CutPrefix(s, "."); point {
		if s = strings.TrimLeft(rest, "0123456789"); s == rest {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if s == "" {
			return false
		}
		s = strings.TrimLeft(s, "0123456789")
	}
	return s == ""
}

// text writes a string.
func (w *writer) text(s string) error {
	if !utf8.ValidString(s) {
		return errEncoding
	}
	var err error
	w.out, err = document.AppendStringContext(w.ctx, w.out, s)
	return err
}
