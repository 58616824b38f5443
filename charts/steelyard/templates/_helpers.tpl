{{- define "steelyard.selector" -}}
app.kubernetes.io/name: steelyard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "steelyard.labels" -}}
{{ include "steelyard.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Not empty if the policy that holds a changed Deployment is installed. */}}
{{- define "steelyard.holds" -}}
{{- if eq .Values.admission.hold "always" -}}
yes
{{- else if and (eq .Values.admission.hold "auto") (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
yes
{{- end -}}
{{- end }}

{{/* Sources or webhooks (all) as the program reads them. Secrets and ConfigMaps are files in a folder (at). */}}
{{- define "steelyard.endpoints" -}}
{{- $all := list }}
{{- $at := .at }}
{{- range .all }}
{{- $source := omit . "headersFrom" "tls" "key" }}
{{- $folder := printf "%s/%s" $at .name }}
{{- with .key }}{{ $_ := set $source "keyFile" (printf "%s/key/%s" $folder (.key | default "key")) }}{{ end }}
{{- if .headersFrom }}{{ $_ := set $source "headersFrom" (printf "%s/headers" $folder) }}{{ end }}
{{- with .tls }}
{{- $tls := dict }}
{{- with .ca }}{{ $_ := set $tls "ca" (printf "%s/ca/%s" $folder (.key | default "ca.crt")) }}{{ end }}
{{- if .client }}
{{- $_ := set $tls "cert" (printf "%s/client/tls.crt" $folder) }}
{{- $_ := set $tls "key" (printf "%s/client/tls.key" $folder) }}
{{- end }}
{{- $_ := set $source "tls" $tls }}
{{- end }}
{{- $all = append $all $source }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{/* The Secrets and ConfigMaps that they use: name, folder and volume of each. */}}
{{- define "steelyard.endpointFiles" -}}
{{- $all := list }}
{{- $at := .at }}
{{- $kind := .kind }}
{{- range $index, $source := .all }}
{{- $folder := printf "%s/%s" $at .name }}
{{- with .key }}
{{- $all = append $all (dict "name" (printf "%s-%d-key" $kind $index) "folder" (printf "%s/key" $folder) "volume" (dict "secret" (dict "secretName" .secret))) }}
{{- end }}
{{- with .headersFrom }}
{{- $all = append $all (dict "name" (printf "%s-%d-headers" $kind $index) "folder" (printf "%s/headers" $folder) "volume" (dict "secret" (dict "secretName" .secret))) }}
{{- end }}
{{- with .tls }}
{{- with .ca }}
{{- $volume := dict "configMap" (dict "name" .configMap) }}
{{- if .secret }}{{ $volume = dict "secret" (dict "secretName" .secret) }}{{ end }}
{{- $all = append $all (dict "name" (printf "%s-%d-ca" $kind $index) "folder" (printf "%s/ca" $folder) "volume" $volume) }}
{{- end }}
{{- with .client }}
{{- $all = append $all (dict "name" (printf "%s-%d-client" $kind $index) "folder" (printf "%s/client" $folder) "volume" (dict "secret" (dict "secretName" .secret))) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{- define "steelyard.files" -}}
{{- $sources := include "steelyard.endpointFiles" (dict "kind" "source" "all" .Values.prometheus.sources "at" "/etc/steelyard-sources") | fromYamlArray }}
{{- $webhooks := include "steelyard.endpointFiles" (dict "kind" "webhook" "all" .Values.webhooks "at" "/etc/steelyard-webhooks") | fromYamlArray }}
{{- toYaml (concat $sources $webhooks) }}
{{- end }}
