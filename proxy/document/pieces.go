package document

import (
	"encoding/json"
	"reflect"
)

// pieceSize is how much encoding/json decodes between two looks at the context.
const pieceSize = 64 << 10

// A pieces decodes a large text with encoding/json piece by piece, because nothing ends a
// json.Unmarshal. A piece is a run of members of one object or of elements of one array. Decoding
// the members of an object in several runs gives what decoding them in one does: encoding/json
// takes them one after another too. A large member or element is taken apart in turn. Only what has
// a method of its own, and what only encoding/json can assign to a field, is decoded as a whole.
type pieces struct {
	clock clock
	b     []byte
	size  int         // of a piece
	large map[int]int // where each array and object that is larger than a piece begins and ends
	by    *methods
	known map[reflect.Type]*projection
}

// unmarshal is json.Unmarshal until the context of the clock ends. The methods of the user are by.
func unmarshal(c *clock, b []byte, v any, by *methods) error {
	if c.ctx == nil || c.ctx.Done() == nil || len(b) <= pieceSize {
		return json.Unmarshal(b, v)
	}
	p := pieces{clock: *c, b: b, size: pieceSize, by: by}
	return p.decode(v)
}

// decode decodes all of the text.
func (p *pieces) decode(v any) error {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return json.Unmarshal(p.b, v)
	}
	p.large, p.known = map[int]int{}, map[reflect.Type]*projection{}
	p.measure()
	return p.value(0, len(p.b), r.Elem(), deepest)
}

// measure finds the arrays and objects that are larger than a piece.
func (p *pieces) measure() {
	b, inner := p.b, []int(nil)
	for i := 0; i < len(b); {
		p.clock.tick()
		switch b[i] {
		case '"':
			i, _ = skipString(b, i)
			continue
		case '{', '[':
			inner = append(inner, i)
		case '}', ']':
			last := len(inner) - 1
			if start := inner[last]; i+1-start > p.size {
				p.large[start] = i + 1
			}
			inner = inner[:last]
		}
		i++
	}
}

// end returns the offset after the value at i.
func (p *pieces) end(i int) int {
	if b := p.b[i]; b == '{' || b == '[' {
		if end, ok := p.large[i]; ok {
			return end
		}
	}
	return skipValue(p.b, i)
}

// value decodes the text between two offsets, at most levels deep.
func (p *pieces) value(from, to int, v reflect.Value, levels int) error {
	text, first := p.b[from:to], p.b[from]
	if len(text) <= p.size || first != '{' && first != '[' {
		return p.whole(text, v)
	}
	if levels == 0 {
		return ErrDepth
	}
	switch to := v.Addr().Interface().(type) {
	case *Document:
		return p.document(text, to)
	case *json.RawMessage:
		*to = append((*to)[:0], text...)
		return nil
	}
	switch kind := v.Kind(); {
	case kind == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return p.value(from, to, v.Elem(), levels-1)
	case p.by.has(v.Type()):
		return p.whole(text, v)
	case kind == reflect.Interface && !v.IsNil() && v.Elem().Kind() == reflect.Pointer && !v.Elem().IsNil():
		return p.value(from, to, v.Elem().Elem(), levels-1)
	case kind == reflect.Interface && v.NumMethod() == 0:
		return p.any(from, to, v, levels)
	case first == '{' && (kind == reflect.Struct || kind == reflect.Map):
		return p.object(from, v, levels-1)
	case first == '[' && kind == reflect.Slice:
		return p.list(from, v, levels-1)
	case first == '[' && kind == reflect.Array:
		return p.array(from, v, levels-1)
	}
	return p.whole([]byte{first, first + 2}, v) // it does not fit, however little is in it
}

// whole decodes a text at once, and then looks at the context.
func (p *pieces) whole(text []byte, v reflect.Value) error {
	err := json.Unmarshal(text, v.Addr().Interface())
	p.clock.look()
	return err
}

// document sets a Document, which checks its depth.
func (p *pieces) document(text []byte, d *Document) (err error) {
	*d, err = Limits{}.parse(&p.clock, append(make([]byte, 0, len(text)), text...))
	return err
}

// any decodes into an interface without methods.
func (p *pieces) any(from, to int, v reflect.Value, levels int) error {
	t := reflect.TypeFor[map[string]any]()
	if p.b[from] == '[' {
		t = reflect.TypeFor[[]any]()
	}
	made := reflect.New(t).Elem()
	err := p.value(from, to, made, levels)
	v.Set(made)
	return err
}

// object decodes into a struct or a map.
func (p *pieces) object(from int, v reflect.Value, levels int) error {
	r := run{in: p.b, open: '{', kept: p.by.code}
	flush := func() error { return p.whole(r.take(), v) }
	for c := open(p.b, from); c.member(); {
		p.clock.tick()
		end := p.end(c.value)
		large := end-c.value > p.size
		if r.size() > p.size || large && r.size() > 0 {
			if err := flush(); err != nil {
				return err
			}
		}
		if !large {
			r.add(c.name, end)
		} else if err := p.member(&c, end, v, levels); err != nil {
			return err
		}
		c.jump(end)
	}
	return flush()
}

// member decodes the member at which c stands, which is large.
func (p *pieces) member(c *walker, end int, v reflect.Value, levels int) error {
	if v.Kind() == reflect.Struct {
		index, sure, found := projectionOf(v.Type(), p.by, p.known).target(c)
		switch {
		case !found:
			return nil
		case sure:
			return p.value(c.value, end, v.FieldByIndex(index), levels)
		}
		return p.whole(append(append([]byte{'{'}, p.b[c.name:end]...), '}'), v)
	}
	// encoding/json makes the key.
	key := reflect.New(v.Type())
	if err := json.Unmarshal(append(append([]byte{'{'}, p.b[c.name:c.nameEnd]...), ":null}"...), key.Interface()); err != nil {
		return err
	}
	made := reflect.New(v.Type().Elem()).Elem()
	if err := p.value(c.value, end, made, levels); err != nil {
		return err
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for k := range key.Elem().Seq() {
		v.SetMapIndex(k, made)
	}
	return nil
}

// list decodes into a slice. As in encoding/json, what is in the slice already is decoded into.
func (p *pieces) list(from int, v reflect.Value, levels int) error {
	r := run{in: p.b, open: '[', kept: p.by.code}
	flush := func() error {
		some := reflect.New(v.Type()).Elem()
		err := p.whole(r.take(), some)
		v.Set(reflect.AppendSlice(v, some))
		return err
	}
	n, had := 0, v.Len()
	for c := open(p.b, from); c.element(); n++ {
		p.clock.tick()
		end := p.end(c.value)
		large := end-c.value > p.size
		if r.size() > p.size || large && r.size() > 0 {
			if err := flush(); err != nil {
				return err
			}
		}
		var err error
		switch {
		case n < had:
			err = p.value(c.value, end, v.Index(n), levels)
		case large:
			one := reflect.New(v.Type().Elem()).Elem()
			err = p.value(c.value, end, one, levels)
			v.Set(reflect.Append(v, one))
		default:
			r.add(c.value, end)
		}
		if err != nil {
			return err
		}
		c.jump(end)
	}
	if n < had {
		v.SetLen(n)
	}
	if r.size() == 0 {
		return nil
	}
	return flush()
}

// array decodes into an array, which leaves out the elements that it has no room for.
func (p *pieces) array(from int, v reflect.Value, levels int) error {
	n := 0
	for c := open(p.b, from); n < v.Len() && c.element(); n++ {
		end := p.end(c.value)
		if err := p.value(c.value, end, v.Index(n), levels); err != nil {
			return err
		}
		c.jump(end)
	}
	for ; n < v.Len(); n++ {
		v.Index(n).SetZero()
	}
	return nil
}

// A run is members or elements that follow each other and are decoded together.
type run struct {
	in       []byte
	open     byte   // the bracket around them
	kept     bool   // a method of the user may keep the text
	from, to int    // where they are
	text     []byte // used again
}

func (r *run) add(from, to int) {
	if r.to == 0 {
		r.from = from
	}
	r.to = to
}

// size returns the length of the run, which is 0 only if there is nothing in it.
func (r *run) size() int { return r.to - r.from }

// take returns the text and begins a new run.
func (r *run) take() []byte {
	if r.kept {
		r.text = nil
	}
	r.text = append(append(r.text[:0], r.open), r.in[r.from:r.to]...)
	r.text = append(r.text, r.open+2) // the codes of { and }, and of [ and ], differ by two
	r.from, r.to = 0, 0
	return r.text
}
