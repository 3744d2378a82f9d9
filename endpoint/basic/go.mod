module github.com/sluice-go/sluice/endpoint/basic

go 1.26.0

require github.com/sluice-go/sluice v0.0.0

require (
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	golang.org/x/crypto v0.59.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/sluice-go/sluice => ../..
