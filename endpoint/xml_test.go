package endpoint_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/endpoint"
	"github.com/sluice-go/sluice/proxy/document"
)

func TestXMLIsWrittenAsDocumented(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, json, want string }{
		{"a member is the root", `{"a":{"b":1}}`, `<a><b>1</b></a>`},
		{"several are not", `{"a":1,"b":2}`, `<document><a>1</a><b>2</b></document>`},
		{"nor is one twice", `{"a":1,"a":2}`, `<document><a>1</a><a>2</a></document>`},
		{"nor an array", `{"a":[1]}`, `<document><a>1</a></document>`},
		{"nor an attribute", `{"@a":1}`, `<document a="1"/>`},
		{"nor text", `{"#text":1}`, `<document>1</document>`},
		{"nor no name", `{"":1}`, `<document><_>1</_></document>`},
		{"an empty object", `{}`, `<document/>`},
		{"an array", `[1,[2,[]],{}]`, `<document><item>1</item><item><item>2</item><item/></item><item/></document>`},
		{"a scalar", ` "x" `, `<document>x</document>`},
		{"null", `null`, `<document/>`},
		{"scalars", ` { "a" : [ 1.50 , true , null , "" , "x" ] , "b" : -0e9 } `,
			`<document><a>1.50</a><a>true</a><a/><a/><a>x</a><b>-0e9</b></document>`},
		{"arrays", `{"a":{"b":[],"c":[[1,2],[3]],"d":[{"e":[1]}]}}`,
			`<a><c><item>1</item><item>2</item></c><c><item>3</item></c><d><e>1</e></d></a>`},
		{"attributes wherever they stand", `{"a":{"b":{"c":[{}]},"@d":1,"@e":"x","@f":null,"@g":true}}`, `<a d="1" e="x" g="true"><b><c/></b></a>`},
		{"an attribute twice", `{"a":{"@b":1,"@c":2,"@b":"3"}}`, `<a b="3" c="2"/>`},
		{"no attribute", `{"a":{"@b":{"c":1},"@":2,"@d":[3]}}`, `<a><_x0040_b><c>1</c></_x0040_b><_x0040_>2</_x0040_><_x0040_d>3</_x0040_d></a>`},
		{"text", `{"a":{"b":1,"#text":"x"}}`, `<a><b>1</b>x</a>`},
		{"no text", `{"a":{"#text":{"b":1}}}`, `<a><_x0023_text><b>1</b></_x0023_text></a>`},
		{"names", `{"a":{"first name":1,"1st":2,"a:b":3,"größe":4,"a.b-c_9":5,"😀":6,"-":7,"\"":8,"xmlns":9}}`,
			`<a><first_x0020_name>1</first_x0020_name><_x0031_st>2</_x0031_st><a_x003A_b>3</a_x003A_b><größe>4</größe>` +
				`<a.b-c_9>5</a.b-c_9><_x1F600_>6</_x1F600_><_x002D_>7</_x002D_><_x0022_>8</_x0022_><xmlns>9</xmlns></a>`},
		{"names that look escaped", `{"a":{"_x0020_":1,"_xml_":2,"_x20_":3}}`, `<a><_x005F_x0020_>1</_x005F_x0020_><_xml_>2</_xml_><_x20_>3</_x20_></a>`},
		{"an attribute declares nothing", `{"a":{"@xmlns":"b","@xmlns:c":"d"}}`, `<a _x0078_mlns="b" xmlns_x003A_c="d"/>`},
		{"escapes", `{"a":{"@b":"<&>\"'\t\n\r","#text":"<&>\"']]>\t\n\r\u0000\u001f\ufffe\\\u00e9\ud83d\ude00"}}`,
			`<a b="&lt;&amp;&gt;&quot;'&#x9;&#xA;&#xD;">&lt;&amp;&gt;"']]&gt;` + "\t\n&#xD;\ufffd\ufffd\ufffd\\é😀" + `</a>`},
		{"escaped names", `{"\u0061":{"\u0040b":1}}`, `<a b="1"/>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := endpoint.XML.Encode([]byte("kept "), documentOf(tt.json))
			require.NoError(t, err)
			assert.Equal(t, "kept "+xmlDecl+tt.want, string(b))
			assert.NoError(t, wellFormed(string(b[len("kept "):])))
		})
	}
}

func TestXMLRootIsTheSameForEveryDocument(t *testing.T) {
	t.Parallel()
	for json, want := range map[string]string{
		`{"a":1}`:         `<page><a>1</a></page>`,
		`{"@a":1,"b":[]}`: `<page a="1"/>`,
		`[1]`:             `<page><item>1</item></page>`,
		`"x"`:             `<page>x</page>`,
		`null`:            `<page/>`,
	} {
		b, err := endpoint.XMLRoot("page").Encode(nil, documentOf(json))
		require.NoError(t, err)
		assert.Equal(t, xmlDecl+want, string(b))
	}
}

// What backend.XML reads is written as it was, but for what has no meaning.
func TestXMLIsTheInverseOfWhatABackendReads(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`<user id="7"><name>Ada</name><tag>a</tag><tag>b</tag><note lang="de">hm</note><nothing/></user>`,
		`<a b="&lt;&amp;&gt;&quot;'&#x9;">&lt;&amp;&gt;"' x </a>`,
		`<größe><b><b><b>1</b><b>2</b></b></b></größe>`,
	} {
		d, err := backend.XML.Decode("", []byte(text))
		require.NoError(t, err)
		b, err := endpoint.XML.Encode(nil, d)
		require.NoError(t, err)
		assert.Equal(t, xmlDecl+text, string(b))
	}
}

// proves F6
func TestXMLDoesNotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 1<<16)
	_, err := endpoint.XML.Encode(nil, documentOf(`{"a":{"`+long+`":[0`+strings.Repeat(",0", 1<<16)+`]}}`))
	assert.EqualError(t, err, "xml: the body is too large")
	_, err = endpoint.XML.Encode(nil, documentOf(`{"a":{"name":[0`+strings.Repeat(",0", 1<<16)+`]}}`))
	assert.NoError(t, err)
}

// What is nested deep is not read again for each level, and does not exhaust the stack.
func TestXMLOfADeepDocumentTakesTimeByItsSize(t *testing.T) {
	t.Parallel()
	deep := func(n int, inside string) document.Document {
		d, err := document.Limits{Depth: -1}.Parse([]byte(strings.Repeat(`{"a":`, n) + inside + strings.Repeat("}", n)))
		require.NoError(t, err)
		return d
	}
	start := time.Now()
	_, err := endpoint.XML.Encode(nil, deep(5_000, `[0`+strings.Repeat(",0", 1<<18)+`]`))
	assert.NoError(t, err)
	_, err = endpoint.XML.Encode(nil, deep(1_000_000, `1`))
	assert.EqualError(t, err, "xml: nested too deep")
	assert.Less(t, time.Since(start), 30*time.Second, "reading it for each level takes minutes")
}

func wellFormed(text string) error {
	for d, roots, depth := xml.NewDecoder(strings.NewReader(text)), 0, 0; ; {
		token, err := d.Token()
		switch {
		case err == io.EOF && roots == 1:
			return nil
		case err != nil:
			return err
		}
		switch token.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
		case xml.EndElement:
			depth--
		}
		if roots > 1 {
			return errors.New("several roots")
		}
	}
}

func FuzzXMLEncoding(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"@b":"1","#text":"x","c":[1,[2],{"d":null}]}}`, `[[],{},"\u0000"]`, `{"_x0020_":1,"x y":{"@":2,"@xmlns":"\ud83d\ude00"}}`, `{"":{"":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := document.Limits{Depth: 20}.Parse(b)
		if err != nil {
			return
		}
		before := d.String()
		for _, e := range []endpoint.Encoder{endpoint.XML, endpoint.XMLRoot("page")} {
			text, err := e.Encode(nil, d)
			require.NoError(t, err)
			require.NoError(t, wellFormed(string(text)), "%s", text)
			_, err = backend.XMLWith(backend.XMLSpec{Limits: document.Limits{Depth: 60}}).Decode("", text)
			require.NoError(t, err, "%s", text)
		}
		assert.Equal(t, before, d.String())
	})
}

// proves T12
func TestXMLMakesANameOnceForAnArray(t *testing.T) {
	name := strings.Repeat("+", 20<<10)
	encode := func(n int) float64 {
		d := document.MustParse(`{"a":0,"` + name + `":[` + strings.Repeat("1,", n) + `1]}`)
		dst := make([]byte, 0, 16<<20)
		return testing.AllocsPerRun(2, func() {
			_, err := endpoint.XML.Encode(dst, d)
			require.NoError(t, err)
		})
	}
	assert.InDelta(t, encode(2), encode(40), 5, "the escaped name is made again for each element")
}

func BenchmarkXMLOfOddNames(b *testing.B) {
	for _, n := range []int{100 << 10, 200 << 10} { // twice the input, twice the time
		d := document.MustParse("{" + strings.Repeat(`"+/+/+":1,`, n/10) + `"a":1}`)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(d.Size()))
			var dst []byte
			for b.Loop() {
				dst, _ = endpoint.XML.Encode(dst[:0], d)
			}
		})
	}
}
