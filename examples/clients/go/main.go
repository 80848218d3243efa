// Submits jobs with a client that oapi-codegen has generated. To run it:
//
//	curl -o openapi.json localhost:8080/openapi.json && mkdir -p api && go generate && go run .
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"time"

	"example.com/client/api"
)

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -package api -generate types,client -o api/api.gen.go openapi.json

// submit submits a job and waits for its end, 30 seconds at most. A repetition has the same key, so it makes no second job.
func submit(ctx context.Context, client *api.ClientWithResponses, job api.Submission) api.Job {
	key, prefer := rand.Text(), "wait=30"
	for {
		answer, err := client.SubmitJobWithResponse(ctx, &api.SubmitJobParams{IdempotencyKey: &key, Prefer: &prefer}, job)
		must(err)
		switch {
		case answer.JSON200 != nil: // it has ended
			return *answer.JSON200
		case answer.JSON202 != nil: // it goes on
			return *answer.JSON202
		case answer.StatusCode() != 503:
			log.Fatalf("refused: %s", answer.Body)
		}
		seconds, _ := strconv.Atoi(answer.HTTPResponse.Header.Get("Retry-After"))
		time.Sleep(time.Duration(max(seconds, 1)) * time.Second)
	}
}

func main() {
	ctx := context.Background()
	client, err := api.NewClientWithResponses(cmp.Or(os.Getenv("MILLSTREAM_URL"), "http://127.0.0.1:8080"))
	must(err)

	payload := map[string]any{"rows": []map[string]any{{"city": "Oslo", "sold": 3}}, "format": "csv"}
	report := submit(ctx, client, api.Submission{Type: "report.generate", Payload: payload})
	fmt.Printf("%s %s at %s\n", report.Type, report.State, report.FinishedAt.Format(time.RFC3339))

	once := int64(1)
	poison := submit(ctx, client, api.Submission{Type: "demo.poison", MaxAttempts: &once})
	if poison.State == api.JobStateDead {
		fmt.Printf("%s %s: %s\n", poison.Type, poison.State, poison.Error.Message)
	}

	wait, limit := 1.0, int64(100)
	read, err := client.GetJobWithResponse(ctx, poison.Id, &api.GetJobParams{Wait: &wait})
	must(err)
	list, err := client.ListDeadLettersWithResponse(ctx, &api.ListDeadLettersParams{Type: &poison.Type, Limit: &limit})
	must(err)
	listed := slices.ContainsFunc(list.JSON200.Items, func(letter api.DeadLetter) bool { return letter.Id == poison.Id })
	fmt.Printf("read %s, listed %t\n", read.JSON200.State, listed)

	redriven, err := client.RedriveDeadLettersWithResponse(ctx, api.DeadLetterAction{Ids: &[]string{poison.Id}})
	must(err)
	fmt.Printf("redriven %d\n", redriven.JSON200.Done)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
