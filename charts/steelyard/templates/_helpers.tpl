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

{{/* Not empty where the policy that holds a changed Deployment is installed. */}}
{{- define "steelyard.holds" -}}
{{- if eq .Values.admission.hold "always" -}}
yes
{{- else if and (eq .Values.admission.hold "auto") (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
yes
{{- end -}}
{{- end }}

{{/* The sources as the program reads them: what lies in Secrets and ConfigMaps is a file there. */}}
{{- define "steelyard.sources" -}}
{{- $all := list }}
{{- range .Values.prometheus.sources }}
{{- $source := omit . "headersFrom" "tls" }}
{{- $folder := printf "/etc/steelyard-sources/%s" .name }}
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

{{/* What a source takes from Secrets and ConfigMaps: name, folder and volume of each. */}}
{{- define "steelyard.sourceFiles" -}}
{{- $all := list }}
{{- range $index, $source := .Values.prometheus.sources }}
{{- $folder := printf "/etc/steelyard-sources/%s" .name }}
{{- with .headersFrom }}
{{- $all = append $all (dict "name" (printf "source-%d-headers" $index) "folder" (printf "%s/headers" $folder) "volume" (dict "secret" (dict "secretName" .secret))) }}
{{- end }}
{{- with .tls }}
{{- with .ca }}
{{- $volume := dict "configMap" (dict "name" .configMap) }}
{{- if .secret }}{{ $volume = dict "secret" (dict "secretName" .secret) }}{{ end }}
{{- $all = append $all (dict "name" (printf "source-%d-ca" $index) "folder" (printf "%s/ca" $folder) "volume" $volume) }}
{{- end }}
{{- with .client }}
{{- $all = append $all (dict "name" (printf "source-%d-client" $index) "folder" (printf "%s/client" $folder) "volume" (dict "secret" (dict "secretName" .secret))) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $all }}
{{- end }}
